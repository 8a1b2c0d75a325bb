"""Reading a PyTorch checkpoint of tensors without PyTorch, and without running what a pickle may ask for.

The form is the old one, from before PyTorch 1.6: five pickles (a magic number, a version, facts of the machine, the
object, the keys of the storages), then the storages as raw bytes. A pickle is a small program that may call anything;
here it may name a handful of globals, all of which are replaced by inert stand-ins, and anything else ends the reading.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from framehouse.errors import ConfigError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ZIP_START = b"PK\x03\x04"


# The stand-ins are named tuples: a pickle can set no attribute of them.


class _StorageType(NamedTuple):
    """Stands for `torch.FloatStorage` and its like."""

    dtype: str


class _Call(NamedTuple):
    """Stands for something that a pickle calls."""

    function: Callable[..., object]

    def __call__(self, *arguments: object) -> object:
        return self.function(*arguments)


class _Storage(NamedTuple):
    """One storage, by its key in the file."""

    key: str
    dtype: str
    size: int


class _TensorView(NamedTuple):
    """A tensor that is still to be cut out of its storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict by name, in the order of the file.

    Raises:
        ConfigError: not a checkpoint of this form (`convert.format`); a pickle that asks for more than tensors
            (`convert.pickle`); storages that are too short, too many, or do not hold what the tensors say
            (`convert.weights`).
    """
    content = path.read_bytes()
    if content.startswith(_ZIP_START):
        raise ConfigError(f"{path.name}: checkpoints in a zip file are not read here", code="convert.format")
    file = io.BytesIO(content)
    if _load(file, path.name) != _MAGIC or _load(file, path.name) != _PROTOCOL:
        raise ConfigError(f"{path.name} is not a checkpoint of PyTorch", code="convert.format")
    machine, state, keys = (_load(file, path.name) for _ in range(3))
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ConfigError(f"{path.name} was not written on a little-endian machine", code="convert.format")
    if not _is_state(state) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ConfigError(f"{path.name} holds something other than named tensors", code="convert.pickle")
    storages = _storages(file, keys, state, path.name)
    return {name: _cut(view, storages[view.storage.key], f"{path.name}: {name}") for name, view in state.items()}


def _is_state(state: object) -> bool:
    return isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(view, _TensorView) for name, view in state.items()
    )


def _load(file: io.BytesIO, source: str) -> Any:
    try:
        return _TensorUnpickler(file).load()
    except ConfigError:
        raise
    except Exception as error:  # a broken pickle can fail in any way: it is a program
        raise ConfigError(f"{source}: cannot be read as a checkpoint: {error}", code="convert.format") from error


def _rebuild(storage: object, offset: object, shape: object, strides: object, *_: object) -> _TensorView:
    """For `torch._utils._rebuild_tensor_v2`; requires_grad and hooks are left out."""
    if (
        not isinstance(storage, _Storage)
        or not (isinstance(offset, int) and isinstance(shape, tuple) and isinstance(strides, tuple))
        or not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides))
        or len(shape) != len(strides)
    ):
        _refuse("a tensor that is not described as one")
    return _TensorView(storage, offset, shape, strides)


def _ordered_dict() -> OrderedDict[str, Any]:
    """For `collections.OrderedDict`, called without arguments as a state dict does."""
    return OrderedDict()


_GLOBALS: Mapping[tuple[str, str], _Call | _StorageType] = {
    ("collections", "OrderedDict"): _Call(_ordered_dict),
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_rebuild),
    ("torch", "FloatStorage"): _StorageType("<f4"),
    ("torch", "HalfStorage"): _StorageType("<f2"),
    ("torch", "LongStorage"): _StorageType("<i8"),
}
"""All that a checkpoint may name, and what is given instead."""


class _TensorUnpickler(pickle.Unpickler):
    """Admits `_GLOBALS` alone; a storage is remembered by its key."""

    def find_class(self, module: str, name: str) -> Any:
        found = _GLOBALS.get((module, name))
        if found is None:
            _refuse(f"{module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", _StorageType(dtype), str(key), _, int(size), None) if size > 0:
                return _Storage(key, dtype, size)
        _refuse("a reference that is no whole storage")


def _refuse(what: str) -> NoReturn:
    raise ConfigError(f"the checkpoint asks for {what}; only tensors are read", code="convert.pickle")


def _storages(
    file: io.BytesIO, keys: list[str], state: Mapping[str, _TensorView], source: str
) -> dict[str, NDArray[Any]]:
    """The raw storages that follow the pickles: for each key a count of elements (int64), then the elements."""
    wanted = {view.storage for view in state.values()}
    if sorted(keys) != sorted(storage.key for storage in wanted):
        raise ConfigError(f"{source}: the storages are not those of the tensors", code="convert.weights")
    by_key, left = {storage.key: storage for storage in wanted}, memoryview(file.read())
    arrays = {}
    for key in keys:
        _, dtype, size = by_key[key]
        end = 8 + size * np.dtype(dtype).itemsize
        if len(left) < end or struct.unpack_from("<q", left) != (size,):
            raise ConfigError(f"{source}: storage {key} does not have its {size} values", code="convert.weights")
        arrays[key], left = np.frombuffer(left[8:end], dtype), left[end:]
    if left:
        raise ConfigError(f"{source}: bytes after the last storage", code="convert.weights")
    return arrays


def _cut(view: _TensorView, storage: NDArray[Any], name: str) -> NDArray[Any]:
    """A copy of a tensor out of its storage."""
    steps = [step if n > 1 else 0 for n, step in zip(view.shape, view.strides, strict=True)]
    last = view.offset + sum((n - 1) * step for n, step in zip(view.shape, steps, strict=True))
    if not 1 <= math.prod(view.shape) <= storage.size or last >= storage.size:
        raise ConfigError(f"{name} does not fit into its storage", code="convert.weights")
    return as_strided(storage[view.offset :], view.shape, [step * storage.itemsize for step in steps]).copy()
