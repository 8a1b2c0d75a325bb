"""Damaged files by the dozen: sampled or refused by name, each frame once, no process lost; `python -m chaos.fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.fuzz import fuzz

pytestmark = [pytest.mark.real("decode"), pytest.mark.timeout(300)]

N_FILES = 40


def test_damaged_files_are_sampled_or_refused_by_name(tmp_path: Path) -> None:
    ends, faults = fuzz(N_FILES, seed=3, folder=tmp_path)
    assert faults == []
    codes = {end for end in ends if "." in end}
    assert all(code.startswith("media.") for code in codes)
    assert ends["sampled with gaps"] > 0
    assert ends["frames as pictures"] > ends["frames as gaps"] > 0
