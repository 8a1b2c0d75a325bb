"""The commands that only read, with the stack down, on a small store."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import structlog

import media
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.store.rebuild import rebuild
from lakes import small_lake, video_name

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    rebuild(home / "store", small_lake(home / "lake"))
    return home


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run a command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(home))
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")  # --debug sets it: this puts it back

    def run(*arguments: str) -> tuple[int, str, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    load_settings.cache_clear()
    structlog.reset_defaults()


QUERY = "SELECT job_id, list_sort(models) AS models, confidence, error_code FROM jobs ORDER BY job_id"


def test_sql_table(cli: Cli) -> None:
    code, out, err = cli("sql", QUERY)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["job_id", "models", "confidence", "error_code"]
    assert "j_one" in out
    assert "0.4" in out.splitlines()[2].split()


def test_sql_json_csv_and_parquet_put_nothing_else_on_stdout(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("sql", QUERY, "--format", "json")
    assert (code, err) == (0, "")
    records = json.loads(out)
    assert [record["job_id"] for record in records] == ["j_one", "j_two"]
    code, out, err = cli("sql", QUERY, "--format", "csv")
    assert (code, err) == (0, "")
    assert [row["job_id"] for row in csv.DictReader(io.StringIO(out))] == ["j_one", "j_two"]
    code, out, err = cli("sql", QUERY, "--format", "parquet", "--out", str(tmp_path / "j.bin"))
    assert (code, out, err) == (0, "", "")
    assert pq.read_table(tmp_path / "j.bin").column("job_id").to_pylist() == ["j_one", "j_two"]


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet"])
def test_sql_takes_the_format_from_the_file_s_name(cli: Cli, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"jobs é.{suffix}"
    assert cli("sql", QUERY, "--out", str(out)) == (0, "", "")
    content = out.read_bytes()
    assert content.startswith({"json": b"[{", "csv": b"job_id,", "parquet": b"PAR1"}[suffix])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_sql_from_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 42 AS answer"))
    assert cli("sql", "-", "--format", "csv") == (0, "answer\n42\n", "")


def test_a_printed_table_is_cut_and_says_so_and_a_file_is_not(cli: Cli, tmp_path: Path) -> None:
    many = "SELECT range AS n FROM range(5000)"
    code, out, err = cli("sql", many)
    assert (code, len(out.splitlines())) == (0, 1002)
    assert "1000 rows" in err
    cli("sql", many, "--out", str(tmp_path / "all.csv"))
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 5001
    code, out, err = cli("sql", many, "--limit", "3", "--format", "csv")
    assert (out, err) == ("n\n0\n1\n2\n", "")


def test_signs_that_steer_a_terminal_are_not_printed(cli: Cli) -> None:
    _, out, _ = cli("sql", "SELECT 'a' || chr(27) || '[2J' || chr(10) || 'b' AS name")
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize(
    ("query", "code", "exit_code"),
    [
        ("DROP TABLE jobs", "store.query_rejected", 7),
        ("SELECT * FROM nowhere", "store.query_rejected", 7),
        ("SELECT 1; SELECT 2", "store.query_rejected", 7),
        ("COPY jobs TO '/tmp/x.csv'", "store.query_rejected", 7),
        ("SELECT * FROM read_text('/etc/passwd')", "store.query_rejected", 7),
        ("", "store.query_rejected", 7),
    ],
)
def test_sql_that_is_refused_is_one_line(cli: Cli, query: str, code: str, exit_code: int) -> None:
    found, out, err = cli("sql", query)
    assert (found, out) == (exit_code, "")
    assert err.startswith(f"{code}: ")
    assert len(err.splitlines()) == 1


def test_an_output_that_cannot_be_written_is_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = cli("sql", QUERY, "--out", str(tmp_path / "file" / "x.csv"))
    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith("config.output: ")


@pytest.mark.parametrize("arguments", [["sql", "SELECT 1"], ["videos", "list"], ["results", "j_x"]])
def test_an_empty_home_says_what_to_do(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path))
    code, out, err = cli(*arguments)
    assert (code, out) == (7, "")
    assert err.startswith("store.empty: ")
    assert "framehouse run" in err


def test_results(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("results", "j_one")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["frame_offset"] == list(range(0, 60, 6))
    assert cli("results", "j_one", "--out", str(tmp_path / "r.json")) == (0, "", "")
    assert json.loads((tmp_path / "r.json").read_text()) == found
    strict = json.loads(cli("results", "j_one", "--confidence", "1")[1])
    assert strict["frame_offset"] == found["frame_offset"]
    assert strict != found


def test_results_of_no_job(cli: Cli) -> None:
    code, out, err = cli("results", "j_nowhere")
    assert (code, out) == (8, "")
    assert err.startswith("job.not_found: ")


def test_videos_list(cli: Cli) -> None:
    assert cli("videos", "list")[1].count("\nv_") == 2
    listed = json.loads(cli("videos", "list", "--json")[1])
    assert {entry["video_id"] for entry in listed} == {video_name(0), video_name(1)}


@pytest.mark.parametrize("named", [video_name(1), "/videos/copy of ü.mp4"])
def test_videos_show_by_id_and_by_place(cli: Cli, named: str) -> None:
    code, out, err = cli("videos", "show", named)
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert shown["video_id"] == video_name(1)
    assert "/videos/copy of ü.mp4" in {place["uri"] for place in shown["locations"]}
    assert [model["n_loaded"] for model in shown["models"]] == [20]


@pytest.mark.parametrize("named", ["v_" + "0" * 24, "nowhere.mp4", "https://h/v.mp4?sig=secret"])
def test_videos_show_of_none(cli: Cli, named: str) -> None:
    code, _, err = cli("videos", "show", named)
    assert (code, len(err.splitlines())) == (3, 1)
    assert err.startswith("source.not_found: ")
    assert "secret" not in err


def test_probe_for_people_and_for_machines(cli: Cli, tmp_path: Path) -> None:
    path = media.write(tmp_path, media.RECIPES["ntsc.mp4"])
    code, out, err = cli("videos", "probe", str(path))
    assert (code, err) == (0, "")
    assert "29.97 frames a second (30000/1001)" in out
    facts = json.loads(cli("videos", "probe", str(path), "--json")[1])
    assert (facts["video_fps"], facts["n_frames"], facts["width"], facts["damage"]) == ("30000/1001", 60, 128, [])
    assert len(facts["pts"]) == 60
    assert facts["key_frames"][0] == 0


def test_probe_tells_rotation_and_damage(cli: Cli, tmp_path: Path) -> None:
    turned = media.write(tmp_path, media.RECIPES["turned_90.mp4"])
    assert "turned by 90 degrees" in cli("videos", "probe", str(turned))[1]


@pytest.mark.parametrize(
    ("content", "exit_code", "code"),
    [(None, 3, "source.not_found"), (b"", 4, "media."), (b"not a video at all", 4, "media.unreadable")],
)
def test_probe_of_no_video_is_one_line(
    cli: Cli, tmp_path: Path, content: bytes | None, exit_code: int, code: str
) -> None:
    path = tmp_path / "v.mp4"
    if content is not None:
        path.write_bytes(content)
    found, out, err = cli("videos", "probe", str(path))
    assert (found, out) == (exit_code, "")
    assert err.startswith(code)
    assert len(err.splitlines()) == 1


def test_models(cli: Cli) -> None:
    assert "detector/1" in cli("models", "list")[1]
    listed = {model["model_id"]: model for model in json.loads(cli("models", "list", "--json")[1])}
    assert listed["detector/1"]["n_classes"] == 80
    shown = json.loads(cli("models", "show", "detector")[1])
    assert shown["model_digest"] == listed["detector/1"]["model_digest"]
    assert shown["weights"][0]["licence"]
    code, _, err = cli("models", "show", "nothing")
    assert (code, err.split(":")[0]) == (2, "config.unknown_model")


def test_models_check_names_what_does_not_fit(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("models", "check")[0] == 0
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.pbtxt").write_text('name: "other"\nbackend: "python"\n')
    monkeypatch.setenv("FRAMEHOUSE_TRITON__MODEL_REPOSITORY", str(tmp_path))
    code, out, _ = cli("models", "check")
    assert code == 1
    assert out.startswith("broken: ")


def test_db_rebuild_migrate_and_publish(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_lake(tmp_path / "lake")
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path))
    code, out, err = cli("db", "rebuild")
    assert (code, out) == (0, "")
    assert "2 videos, 2 jobs" in err
    before = cli("sql", "SELECT count(*) AS n FROM detections", "--format", "csv")[1]
    assert cli("db", "migrate")[0] == 0
    code, out, err = cli("db", "publish")
    assert (code, out) == (0, "")
    assert cli("sql", "SELECT count(*) AS n FROM detections", "--format", "csv")[1] == before != "n\n0\n"


def test_debug_shows_the_traceback(cli: Cli) -> None:
    from framehouse.errors import QueryRejected

    with pytest.raises(QueryRejected):
        cli("--debug", "sql", "DROP TABLE jobs")
