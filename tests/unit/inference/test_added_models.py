"""An added model that is broken harms no other one, and `check` says what is wrong with it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from framehouse.inference.listing import list_models
from framehouse.inference.repository import check, load_specs
from manifests import weights, write_entry

WEIGHTS = weights(4)


def put(root: Path, name: str, made: Path) -> None:
    """A whole model in a repository."""
    tree = write_entry(made, "https://weights.example/tiny.onnx", WEIGHTS, name=name) / "models"
    (tree / f"{name}_network" / "1" / "model.onnx").write_bytes(WEIGHTS)
    shutil.copytree(tree, root, dirs_exist_ok=True)


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    roots = [tmp_path / "shipped", tmp_path / "added"]
    put(roots[0], "basic", tmp_path / "made")
    put(roots[1], "mine", tmp_path / "made")
    return roots


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new))


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\nversion_policy'


CARD, CONFIG, NETWORK = "mine/card.toml", "mine/config.pbtxt", "mine_network/config.pbtxt"
BROKEN: list[tuple[str, str, str, str]] = [
    (CARD, 'kind = "detections"', 'kind = "poems"', "unknown kind 'poems'"),
    (CARD, 'triton_version = "1"', 'triton_version = "one"', "no version one"),
    (CARD, "labels.txt", "names.txt", "no labels file"),
    (CARD, "\nslug", "\nslug = [", "card.toml"),
    (CONFIG, "model_name", "name_of_model", "model_name is missing"),
    (CONFIG, "model_version: 1", 'model_version: "one"', "model_version is 'one'"),
    (CONFIG, 'model_name: "mine_network"', 'model_name: "mine"', "mine is a step of itself"),
    (CONFIG, 'model_name: "mine_network"', 'model_name: "gone"', "gone has no config.pbtxt"),
    (CONFIG, "version_policy", parameter("confidence_floor", "low"), "confidence_floor 'low'"),
    (CONFIG, "version_policy", parameter("confidence_floor", "7"), "confidence_floor '7'"),
    (CONFIG, "version_policy", parameter("calls", "mine:1"), "mine is a step of itself"),
    (NETWORK, "version_policy", parameter("calls", "mine:1"), "is a step of itself"),
    (NETWORK, "data_type: TYPE_UINT8", "", "data_type is missing"),
    (NETWORK, "dims: [ 8, 8, 3 ]", 'dims: [ "8" ]', "dims is '8'"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), BROKEN)
def test_a_broken_one_is_left_out_and_named(roots: list[Path], file: str, old: str, new: str, message: str) -> None:
    edit(roots[1] / file, old, new)
    assert [listed.spec.model_id for listed in list_models(roots)] == ["basic/1"]
    assert any(message in found.message and found.model.startswith("mine") for found in check(roots)), check(roots)


UNFIT: list[tuple[str, str, str, str]] = [
    (CONFIG, 'key: "count" value: "count"', 'key: "count" value: "number"', "output count"),
    (CONFIG, '{ name: "count" data_type: TYPE_INT32 dims: [ 1 ] }', "", "no output 'count'"),
    (CONFIG, "TYPE_FP32 dims: [ 1, 4 ]", "TYPE_FP32 dims: [ 5 ]", "'boxes'"),
    (CONFIG, 'name: "image" data_type: TYPE_UINT8', 'name: "image" data_type: TYPE_FP32', "sends image uint8"),
    (CONFIG, "version_policy", parameter("confidence_floor", "0.5"), "above the default threshold"),
    (CONFIG, "dims: [ 1, 4 ]", "dims: [ 99999999, 99999999 ]", "too large"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), UNFIT)
def test_an_adapter_that_would_not_understand_is_found(
    roots: list[Path], file: str, old: str, new: str, message: str
) -> None:
    edit(roots[1] / file, old, new)
    assert any(message in found.message and found.model == "mine" for found in check(roots)), check(roots)


def test_a_folder_in_two_repositories_is_found(roots: list[Path]) -> None:
    shutil.copytree(roots[0] / "basic_network", roots[1] / "basic_network")
    assert [(found.model, "two repositories" in found.message) for found in check(roots)] == [("basic_network", True)]


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def scramble(content: bytes, chance: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(3):
        made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made)


def drop_a_line(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    del lines[chance.randrange(len(lines))]
    return b"\n".join(lines)


def swap_a_word(content: bytes, chance: random.Random) -> bytes:
    words = content.split(b" ")
    words[chance.randrange(len(words))] = chance.choice([b'"x"', b"-1", b"{", b"}", b"[", b"9" * 22, b"\xff", b"nan"])
    return b" ".join(words)


@pytest.mark.parametrize("spoil", [cut, scramble, drop_a_line, swap_a_word])
def test_no_damage_to_an_added_model_reaches_the_others(
    roots: list[Path], spoil: Callable[[bytes, random.Random], bytes]
) -> None:
    chance = random.Random(spoil.__name__)
    files = [roots[1] / name for name in (CARD, CONFIG, NETWORK, "mine/labels.txt", "mine_network/1/model.onnx")]
    whole = {file: file.read_bytes() for file in files}
    for _ in range(40):
        file = chance.choice(files)
        file.write_bytes(spoil(whole[file], chance))
        assert "basic/1" in {listed.spec.model_id for listed in list_models(roots)}
        assert not [found for found in check(roots) if found.model.startswith("basic")]
        file.write_bytes(whole[file])
    assert check(roots) == []


def test_a_file_that_is_a_folder(roots: list[Path]) -> None:
    for name in (CARD, CONFIG, "mine/labels.txt"):
        held = (roots[1] / name).read_bytes()
        (roots[1] / name).unlink()
        (roots[1] / name).mkdir()
        assert sorted(load_specs(roots)) == ["basic/1"]
        (roots[1] / name).rmdir()
        (roots[1] / name).write_bytes(held)
    assert sorted(load_specs(roots)) == ["basic/1", "mine/1"]
