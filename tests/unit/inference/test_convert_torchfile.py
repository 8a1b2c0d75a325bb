"""Checkpoints are read as tensors, and nothing that a pickle asks for is done."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from checkpoints import MACHINE, MAGIC, PROTOCOL, checkpoint, numbers, state_dict, tensor_of, text, whole
from framehouse.errors import ConfigError
from framehouse.inference.convert import torchfile
from framehouse.inference.convert.torchfile import read_checkpoint

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "half": np.array([0.5, -2], np.float16),
    "count": np.array(7, np.int64),
}


def read(tmp_path: Path, content: bytes) -> dict[str, np.ndarray]:
    (tmp_path / "model.pth").write_bytes(content)
    return read_checkpoint(tmp_path / "model.pth")


def test_tensors_come_back_by_name_and_in_order(tmp_path: Path) -> None:
    found = read(tmp_path, checkpoint(TENSORS))
    assert list(found) == list(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].flags.owndata
    assert read(tmp_path, checkpoint({})) == {}


def test_a_view_of_part_of_a_storage(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32)
    state = b"\x80\x02}" + text("part") + tensor_of("0", array, (2, 2), offset=1) + b"s."
    np.testing.assert_array_equal(read(tmp_path, checkpoint({"x": array}, state))["part"], [[1, 2], [3, 4]])


WITNESS = "witness"
ATTACKS = {
    "os.system": b"cos\nsystem\n(" + text(f"touch {WITNESS}") + b"tR.",
    "builtins.eval": b"cbuiltins\neval\n(" + text("1 + 1") + b"tR.",
    "numpy.load": b"cnumpy\nload\n(" + text("x") + b"tR.",
    "torch.load": b"ctorch\nload\n(" + text("x") + b"tR.",
    "torch._utils._rebuild_parameter": b"ctorch._utils\n_rebuild_parameter\n(tR.",
    "collections.OrderedDict.fromkeys": b"\x80\x04" + text("collections") + text("OrderedDict.fromkeys") + b"\x93.",
    "framehouse.storage.local.Path": b"cframehouse.storage.local\nPath\n(tR.",
    "os.remove": b"(" + text("x") + b"ios\nremove\n.",
    "copyreg._reconstructor": b"ccopyreg\n_reconstructor\n(tR.",
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_asks_for_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: int
) -> None:
    """In any of the five pickles."""
    monkeypatch.chdir(tmp_path)
    parts = [*(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, MACHINE)), state_dict({}), pickle.dumps([], 2)]
    parts[place] = ATTACKS[name]
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")) as refused:
        read(tmp_path, b"".join(parts))
    assert refused.value.code == "convert.pickle"
    assert not (tmp_path / WITNESS).exists()


def test_the_attack_would_have_worked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control: Python's own reader does what the pickle says."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(ATTACKS["os.system"])
    assert (tmp_path / WITNESS).exists()


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + whole(24) + b"NtQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
PART_OF_ANOTHER = STORAGE.replace(b"NtQ", numbers((0, 1)) + b"tQ")
SPOILED = {
    "a list instead of a dict": b"].",
    "a number among the tensors": b"}" + text("x") + whole(1) + b"s.",
    "a number as a name": b"}" + whole(1) + tensor_of("0", TENSORS["conv.weight"]) + b"s.",
    "a reference to something else": b"(" + text("module") + text("x") + b"tQ.",
    "a storage that is part of another": PART_OF_ANOTHER + b".",
    "a storage of no type": b"(" + text("storage") + text("float") + text("0") + text("cpu") + whole(1) + b"NtQ.",
    "a tensor without a storage": REBUILD + b"(" + text("x") + whole(0) + numbers([1]) + numbers([1]) + b"tR.",
    "a negative offset": REBUILD + b"(" + STORAGE + whole(-1) + numbers([1]) + numbers([1]) + b"tR.",
    "negative strides": REBUILD + b"(" + STORAGE + whole(0) + numbers([2]) + numbers([-1]) + b"tR.",
    "strides of another shape": REBUILD + b"(" + STORAGE + whole(0) + numbers([2, 3]) + numbers([1]) + b"tR.",
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, checkpoint(TENSORS, b"\x80\x02" + SPOILED[name]))
    assert refused.value.code == "convert.pickle"


@pytest.mark.parametrize("what", [b"ctorch\nFloatStorage\n", REBUILD, b"ccollections\nOrderedDict\n"])
@pytest.mark.parametrize("state", [b"}" + text("dtype") + text("<i8") + b"s", b"]" + text("<i8") + b"a"])
@pytest.mark.parametrize("slots", [b"", b"N"])
def test_a_pickle_cannot_change_the_stand_ins(tmp_path: Path, what: bytes, state: bytes, slots: bytes) -> None:
    before = repr(torchfile._GLOBALS)
    state = b"(N" + state + b"t" if slots else state
    with pytest.raises(ConfigError):
        read(tmp_path, checkpoint(TENSORS, b"\x80\x02" + what + state + b"b."))
    assert repr(torchfile._GLOBALS) == before
    np.testing.assert_array_equal(read(tmp_path, checkpoint(TENSORS))["half"], TENSORS["half"])


WEIGHT = TENSORS["conv.weight"]


@pytest.mark.parametrize("shape", [(25,), (10**12,), (10**30,), (0,), (0, 10**30), (2**32, 2**32)])
def test_a_tensor_that_does_not_fit_its_storage_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    state = b"\x80\x02}" + text("x") + tensor_of("0", WEIGHT, shape) + b"s."
    with pytest.raises(ConfigError, match="does not fit") as refused:
        read(tmp_path, checkpoint({"x": WEIGHT}, state))
    assert refused.value.code == "convert.weights"


def test_a_tensor_that_repeats_one_value_for_ever_is_refused(tmp_path: Path) -> None:
    view = REBUILD + b"(" + STORAGE + whole(0) + numbers([10**12]) + numbers([0]) + b"tR"
    with pytest.raises(ConfigError, match="does not fit"):
        read(tmp_path, checkpoint({"x": WEIGHT}, b"\x80\x02}" + text("x") + view + b"s."))


def test_storages_are_all_there_and_no_more(tmp_path: Path) -> None:
    whole_file = checkpoint(TENSORS)
    for content in (whole_file[:-1], whole_file + b"\0", whole_file[:-9]):
        with pytest.raises(ConfigError) as refused:
            read(tmp_path, content)
        assert refused.value.code == "convert.weights"
    with pytest.raises(ConfigError, match="not those of the tensors"):
        read(tmp_path, checkpoint(TENSORS, state_dict({"x": WEIGHT})))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"nothing", b"\x80\x02K\x01.", checkpoint(TENSORS)[:200]])
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"model\.pth") as refused:
        read(tmp_path, content)
    assert refused.value.code == "convert.format"


def test_a_file_of_a_big_endian_machine_is_refused(tmp_path: Path) -> None:
    content = checkpoint(TENSORS).replace(pickle.dumps(MACHINE, 2), pickle.dumps({"little_endian": False}, 2))
    with pytest.raises(ConfigError, match="little-endian"):
        read(tmp_path, content)
