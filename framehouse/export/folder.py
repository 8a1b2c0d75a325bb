"""The folder of an export: whole or absent, and never somebody else's."""

from __future__ import annotations

import glob
import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.results.files import no_room_named

MANIFEST = "export.json"
"""What was exported; it also marks a folder as ours, so that `force` replaces nothing else."""
_LEFT_BEHIND_S = 3600.0


@contextmanager
def new_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill that gets its name when the block ends well, and is gone when it does not.

    Args:
        out: absolute; the folder above it is made when missing. An empty folder of that name counts as none.
        force: an earlier export of that name is replaced, when the new one is whole.

    Raises:
        ConfigError: code `config.output`: something is there (with `force`: and is no export), or it cannot be made.
        StoreError: code `store.disk_full`.
    """
    _check_free(out, force=force)
    filling = out.with_name(f".{out.name[:100]}.{secrets.token_hex(6)}.partial")
    with no_room_named(out.parent):
        with _refusals_named(out):
            _sweep(out)
            filling.mkdir(parents=True)
        try:
            yield filling
            _check_free(out, force=force)
            with _refusals_named(out):
                _take_place(filling, out)
        finally:
            shutil.rmtree(filling, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """A JSON document for people and machines: the same value gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Say what the folder holds. No times: the same rows give the same bytes."""
    write_json(folder / MANIFEST, manifest)


def _check_free(out: Path, *, force: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink():
        if not any(out.iterdir()):
            return
        if not (out / MANIFEST).is_file():
            raise ConfigError(
                f"{out} holds other files",
                code="config.output",
                hint="choose a new folder: --force replaces exports only",
            )
        if force:
            return
        raise ConfigError(f"{out} holds an export already", code="config.output", hint="add --force to replace it")
    raise ConfigError(f"{out} is no folder", code="config.output", hint="choose another --out")


def _take_place(filling: Path, out: Path) -> None:
    """Rename; what stood there goes when the new one stands."""
    old = filling.with_suffix(".old")
    if out.exists():
        out.rename(old)
    try:
        filling.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Remove what exports of this name that were killed have left; young ones may be at work."""
    limit, start = time.time() - _LEFT_BEHIND_S, f".{glob.escape(out.name[:100])}.*"
    for left in out.parent.glob(f"{start}.partial"):
        if left.stat().st_mtime < limit:
            shutil.rmtree(left, ignore_errors=True)
    for replaced in out.parent.glob(f"{start}.old") if out.exists() else ():
        shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def _refusals_named(out: Path) -> Iterator[None]:
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise ConfigError(f"{out}: {error.strerror}", code="config.output", hint="choose another --out") from error
