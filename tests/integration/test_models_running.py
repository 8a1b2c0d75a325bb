"""Models that come and go while the server runs: pulled, loaded, asked, removed, pulled again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog

from exports_in_hand import EXPORTS
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.errors import ConfigError, ModelNotReady
from framehouse.inference import pull_manifest
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import TritonClient
from manifests import weights, write_entry
from real_parts import require

if TYPE_CHECKING:
    from framehouse.inference.server import TritonServer

Cli = Callable[..., tuple[int, str, str]]
WEIGHTS = weights(4)
PICTURE = np.zeros((1, 8, 8, 3), np.uint8)
PICTURE.reshape(-1)[:4] = [1, 2, 5, 7]


@pytest.fixture
def server(home: Path, checkout: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """A server over the shipped repository and an empty one for what is added."""
    from framehouse.inference.server import TritonServer
    from framehouse.inference.server_env import ensure_server_env

    try:
        python = ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    (home / "models").mkdir(parents=True)
    roots = [checkout / "triton_models", home / "models"]
    with TritonServer(python, roots, work_dir=tmp_path / "triton", models=[]) as server:
        yield server


@pytest.fixture
def cli(
    server: TritonServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Cli]:
    write_entry(tmp_path / "manifest", "https://weights.example/tiny.onnx", WEIGHTS)
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    (tmp_path / "mirror" / "tiny" / "tiny.onnx").write_bytes(WEIGHTS)
    monkeypatch.setattr(pull_manifest, "MANIFEST", tmp_path / "manifest")
    monkeypatch.setenv("FRAMEHOUSE_MODELS__MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("FRAMEHOUSE_TRITON__URL", server.url)
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

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


def loaded(cli: Cli) -> dict[str, bool]:
    return {model["model_id"]: model["loaded"] for model in json.loads(cli("list", "--json")[1])}


@pytest.mark.real("triton")
def test_a_model_comes_and_goes_without_a_restart(cli: Cli, server: TritonServer) -> None:
    client = TritonClient(TritonTarget(server.url, False, 10.0, 1))
    assert loaded(cli)["detector/1"] is False
    for _ in range(2):  # what was removed can come back
        code, out, err = cli("pull", "tiny", "--json")
        assert (code, json.loads(out)[0]["loaded"]) == (0, True), err
        assert loaded(cli)["tiny/1"] is True
        answer = client.infer("tiny", {"image": PICTURE})
        assert answer["boxes"].tolist() == [[[1.0, 2.0, 5.0, 7.0]]]
        code, _, err = cli("remove", "tiny")
        assert (code, "may still have it" in err) == (0, False)
        with pytest.raises(ModelNotReady):
            client.infer("tiny", {"image": PICTURE})
        assert not [model for model in client.index() if model.name.startswith("tiny") and model.state == "READY"]
    deadline = time.monotonic() + 10
    while not client.server_ready():  # it says that it is not while it unloads
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.close()


@pytest.mark.real("triton")
def test_a_file_of_ones_own_is_added_beside_the_running_server(cli: Cli, server: TritonServer, tmp_path: Path) -> None:
    client = TritonClient(TritonTarget(server.url, False, 10.0, 1))
    for version, export, words in (("1", "yolov8", []), ("2", "yolov8", ["--size", "640x384"])):
        command = ["add", str(EXPORTS / f"{export}.onnx"), "--name", "forklifts", "--version", version, *words]
        code, out, err = cli(*command, "--licence", "our own", "--json")
        told = json.loads(out)
        assert (code, told["model_id"], told["loaded"]) == (0, f"forklifts/{version}", True), err
    assert told["input_size"] == [640, 384]
    assert client.infer("forklifts", {"image": np.zeros((1, 192, 320, 3), np.uint8)})
    assert client.infer("forklifts.v2", {"image": np.zeros((1, 384, 640, 3), np.uint8)})
    listed = {model["model_id"]: model for model in json.loads(cli("list", "--json")[1])}
    for version in ("1", "2"):
        mine = listed[f"forklifts/{version}"]
        assert (mine["origin"], mine["licence"], mine["loaded"]) == ("added", "our own", True)
        assert mine["ms_per_frame"] > 0
        assert mine["is_default"] is (version == "2")
    assert listed["forklifts/1"]["model_digest"] != listed["forklifts/2"]["model_digest"]
    assert cli("check")[0] == 0
    assert "observed" in cli("show", "forklifts/2")[1]
    assert cli("add", str(tmp_path / "nowhere.onnx"))[2].startswith("models.file: ")
    assert cli("add", str(EXPORTS / "yolov8.onnx"), "--size", "wide")[2].startswith("models.size: ")
    assert cli("remove", "forklifts/1")[0] == 0
    assert set(loaded(cli)) >= {"forklifts/2"}
    client.close()


@pytest.mark.real("triton")
def test_a_server_that_does_not_see_the_folder_is_no_failure(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path / "elsewhere"))
    code, out, err = cli("pull", "tiny")
    assert (code, out) == (0, "tiny: installed: tiny/1\n")
    assert "installed, but not loaded: inference.model_broken" in err
