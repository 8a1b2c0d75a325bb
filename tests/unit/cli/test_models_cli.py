"""`framehouse models …` in this process, with the stack down and a manifest of the test's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from framehouse.cli.checks import _models
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.errors import ConfigError
from framehouse.inference import pull_manifest
from framehouse.inference.repository import load_specs
from framehouse.state import JobRequest, open_state
from manifests import sha256, weights, write_entry

Cli = Callable[..., tuple[int, str, str]]
WEIGHTS = weights(4)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of one entry, and the folder that has its file."""
    write_entry(tmp_path / "manifest", "https://weights.example/tiny.onnx", WEIGHTS, notice="for the test only")
    monkeypatch.setattr(pull_manifest, "MANIFEST", tmp_path / "manifest")
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    (tmp_path / "mirror" / "tiny" / "tiny.onnx").write_bytes(WEIGHTS)
    return tmp_path / "mirror"


@pytest.fixture
def cli(home: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run a command: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")
    monkeypatch.setenv("FRAMEHOUSE_MODELS__MIRROR", str(mirror))

    def run(*arguments: str) -> tuple[int, str, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", "models", *arguments])
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


def models(cli: Cli) -> dict[str, dict[str, object]]:
    code, out, _ = cli("list", "--json")
    assert code == 0
    return {model["model_id"]: model for model in json.loads(out)}


def test_what_ships_is_listed_with_its_facts(cli: Cli) -> None:
    listed = models(cli)["detector/1"]
    assert (listed["origin"], listed["licence"], listed["loaded"], listed["is_default"]) == (
        "shipped",
        "MIT",
        None,
        True,
    )
    assert (listed["width"], listed["height"], listed["resize"], listed["ms_per_frame"]) == (512, 512, "stretch", 67.0)
    head, *lines = cli("list")[1].splitlines()
    first = next(line for line in lines if line.startswith("detector/1"))
    assert head.split() == [
        *("model", "family", "kind", "input", "origin", "licence", "ms", "loaded", "digest", "title"),
    ]
    assert first.split()[:9] == [
        *("detector/1", "*", "detector", "detections", "512x512", "stretch"),
        *("shipped", "MIT", "67"),
    ]
    assert " - " in first


def test_what_can_be_pulled_is_listed_with_size_and_licence(cli: Cli) -> None:
    code, out, _ = cli("list", "--available", "--json")
    entry = json.loads(out)[0]
    assert (code, entry["name"], entry["models"], entry["installed"]) == (0, "tiny", ["tiny/1"], False)
    assert (entry["size_bytes"], entry["licence"], entry["notice"]) == (len(WEIGHTS), "Apache-2.0", "for the test only")
    assert entry["files"][0]["mirror_path"] == "tiny/tiny.onnx"
    assert entry["files"][0]["sha256"] == sha256(WEIGHTS)
    assert "Apache-2.0 + notice" in cli("list", "--available")[1]


def test_a_notice_is_shown_and_must_be_accepted(cli: Cli) -> None:
    code, out, err = cli("pull", "tiny")
    assert (code, out) == (2, "")
    assert err.strip().splitlines()[-1].startswith("models.licence: tiny: for the test only (if you accept that: ")
    assert "tiny/1" not in models(cli)


def test_pull_list_show_check_remove(cli: Cli, home: Path) -> None:
    code, out, err = cli("pull", "tiny", "--accept-licence")
    assert (code, out) == (0, "tiny: installed: tiny/1\n")
    assert "tiny: for the test only" in err
    assert (models(cli)["tiny/1"]["origin"], models(cli)["tiny/1"]["ms_per_frame"]) == ("pulled", 3.0)
    assert json.loads(cli("list", "--available", "--json")[1])[0]["installed"] is True
    shown = json.loads(cli("show", "tiny")[1])
    assert (shown["origin"]["how"], shown["origin"]["accepted"]) == ("pulled", "for the test only")
    assert (shown["labels"], shown["steps"]) == (["box", "other"], ["tiny_network", "tiny"])
    assert shown["weights"][0]["sha256"] == sha256(WEIGHTS)
    assert cli("check")[0] == 0
    assert cli("pull", "tiny")[1] == "tiny: is here already: tiny/1\n"
    code, out, _ = cli("remove", "tiny")
    assert (code, out) == (0, "tiny/1: removed (tiny, tiny_network)\n")
    assert "tiny/1" not in models(cli)
    assert not [path for path in (home / "models").iterdir() if path.name != ".pulling"]


def test_pull_for_machines(cli: Cli) -> None:
    code, out, _ = cli("pull", "tiny", "--accept-licence", "--json")
    assert (code, json.loads(out)) == (
        0,
        [
            {"name": "tiny", "folders": ["tiny_network", "tiny"], "model_ids": ["tiny/1"]}
            | {"was_here": False, "loaded": False}
        ],
    )


def test_a_wrong_name_is_told_before_a_right_one_is_fetched(cli: Cli, home: Path) -> None:
    code, _, err = cli("pull", "tiny", "tinny", "--accept-licence")
    assert (code, err.split(":")[0]) == (2, "models.unknown")
    assert not (home / "models" / "tiny").exists()


def test_a_wrong_file_is_one_line_and_its_exit_code(cli: Cli, mirror: Path) -> None:
    (mirror / "tiny" / "tiny.onnx").write_bytes(WEIGHTS[:-1] + b"x")
    code, out, err = cli("pull", "tiny", "--accept-licence")
    assert (code, out) == (3, "")
    lines = [line for line in err.splitlines() if line.strip()]
    assert [line.split(":")[0] for line in lines] == ["models.digest"]


def test_what_ships_is_not_removed(cli: Cli) -> None:
    code, _, err = cli("remove", "detector")
    assert (code, err.split(":")[0]) == (2, "models.shipped")


def test_a_broken_added_model_is_found_and_the_others_are_listed(cli: Cli, home: Path) -> None:
    cli("pull", "tiny", "--accept-licence")
    (home / "models" / "tiny" / "card.toml").write_text("no card")
    assert "detector/1" in models(cli)
    code, out, _ = cli("check")
    assert code == 1
    assert out.startswith("tiny: ")
    assert cli("remove", "tiny")[0] == 0
    assert cli("check")[0] == 0


def test_a_model_that_a_waiting_job_wants_is_kept(cli: Cli, home: Path) -> None:
    cli("pull", "tiny", "--accept-licence")
    (home / "state").mkdir(parents=True, exist_ok=True)
    state = open_state(f"sqlite:///{home}/state/state.db")
    job_id = state.submit(JobRequest("file:///some/video.mp4", ("tiny",)))
    code, _, err = cli("remove", "tiny/1")
    assert (code, err.split(":")[0]) == (2, "models.in_use")
    assert job_id in err
    assert "tiny/1" in models(cli)
    assert cli("remove", "tiny/1", "--force")[0] == 0
    assert "tiny/1" not in models(cli)
    state.close()


def test_rows_of_a_removed_model_are_counted(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from framehouse.store import query

    cli("pull", "tiny", "--accept-licence")
    digest = load_specs([Path("triton_models").resolve(), home / "models"])["tiny/1"].digest
    asked: list[object] = []

    class Rows:
        def rows(self) -> list[tuple[int, int, int]]:
            return [(50, 2, 1)]

    def answer(*_args: object, params: object) -> Rows:
        asked.append(params)
        return Rows()

    monkeypatch.setattr(query, "run_query", answer)
    _, _, err = cli("remove", "tiny")
    assert asked == [{"digest": digest}]
    assert f"its rows stay: 50 frames of 2 videos from 1 jobs, model_digest {digest}" in err


def test_the_doctor_names_a_broken_added_model_and_what_can_be_used(cli: Cli, home: Path) -> None:
    cli("pull", "tiny", "--accept-licence")
    assert _models(load_settings()).split(", ")[-1] == "tiny/1"
    (home / "models" / "tiny" / "labels.txt").unlink()
    with pytest.raises(ConfigError, match="tiny: no labels file") as told:
        _models(load_settings())
    assert "usable: " in told.value.message
    assert "detector/1" in told.value.message
