"""Loudness lies on the pictures' clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edits
import media
from framehouse.video.loudness import STEP_S, listen
from framehouse.video.probe import probe


def test_a_known_silence(tmp_path: Path) -> None:
    path = edits.write(tmp_path / "film.mp4", [*map(edits.painted(1), range(75))], silences=[(1.0, 1.6)])
    level = listen(path, probe(path)).level_db
    quiet = np.flatnonzero(level < -60) * STEP_S
    assert quiet.min() == pytest.approx(1.0, abs=1.1 * STEP_S)
    assert quiet.max() == pytest.approx(1.55, abs=1.1 * STEP_S)
    assert len(level) == 60
    assert level[:19].min() > -25  # noise of 4000 in 32768: -18 dB
    assert listen(path, probe(path)).loudest(1.1, 1.5) < -60
    assert np.isnan(listen(path, probe(path)).loudest(50, 60))


@pytest.mark.parametrize("name", ["sound.mp4", "sound.mkv", "bframes.ts", "plain.flv"])
def test_containers_with_other_clocks(tmp_path: Path, name: str) -> None:
    path = media.write(tmp_path, media.RECIPES[name])
    index = probe(path)
    heard = listen(path, index)
    assert heard.has_sound
    assert np.isfinite(heard.level_db[4:-4]).all()
    assert len(heard.level_db) == int(np.ceil(index.duration_s / STEP_S))


def test_no_sound(tmp_path: Path) -> None:
    path = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    assert not listen(path, probe(path)).has_sound
