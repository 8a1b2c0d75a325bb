"""Writes checkpoints in PyTorch's old form without PyTorch, opcode by opcode, so that a test can also spoil them."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": PROTOCOL, "little_endian": True}
_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def checkpoint(tensors: Mapping[str, NDArray[Any]], state: bytes | None = None) -> bytes:
    """A file with these tensors, each in a storage of its own.

    Args:
        state: the pickle of the object; None writes the state dict of the tensors.
    """
    heads = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, MACHINE))
    keys = [str(number) for number in range(len(tensors))]
    storages = b"".join(struct.pack("<q", tensor.size) + tensor.tobytes() for tensor in tensors.values())
    return heads + (state_dict(tensors) if state is None else state) + pickle.dumps(keys, 2) + storages


def state_dict(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """The pickle of a state dict."""
    items = [text(name) + tensor_of(str(i), array) for i, (name, array) in enumerate(tensors.items())]
    return b"\x80\x02" + _ORDERED_DICT + b"(" + b"".join(items) + b"u."


def tensor_of(key: str, array: NDArray[Any], shape: tuple[int, ...] | None = None, offset: int = 0) -> bytes:
    """Opcodes that rebuild a tensor from a storage, of its own shape or of one that it may not have."""
    storage = f"ctorch\n{_STORAGES[str(array.dtype)]}\n".encode()
    reference = b"(" + text("storage") + storage + text(key) + text("cpu") + whole(array.size) + b"NtQ"
    shape = array.shape if shape is None else shape
    strides = [int(np.prod(shape[axis + 1 :], dtype=object)) for axis in range(len(shape))]
    view = reference + whole(offset) + numbers(shape) + numbers(strides) + b"\x89" + _ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + view + b"tR"


def text(value: str) -> bytes:
    """Opcode of a string."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value: int) -> bytes:
    """Opcode of an integer, in decimal."""
    return f"I{value}\n".encode()


def numbers(values: Any) -> bytes:
    """Opcodes of a tuple of integers."""
    return b"(" + b"".join(whole(value) for value in values) + b"t"
