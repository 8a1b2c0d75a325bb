"""What an earlier release left, for the tests that open it."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def kept(tmp_path: Path, checkout: Path) -> Path:
    """A copy of what release 0.1 stored, as a FRAMEHOUSE_HOME; the snapshot unpacked."""
    home = tmp_path / "kept"
    shutil.copytree(checkout / "tests" / "data" / "store-0.1", home)
    for packed in (home / "store").glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return home
