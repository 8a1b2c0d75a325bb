"""What was seen of a video comes back from the lake as it was; what is damaged is made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framehouse.results import sights
from framehouse.results.lake import Lake
from framehouse.results.sights import Sight, read_sight, sight_path, write_sight
from framehouse.video.looks import Looks
from framehouse.video.loudness import SILENT, Loudness

LOOKS = Looks(
    np.arange(3), np.arange(3) / 5, np.arange(3 * 432, dtype=np.int64).astype(np.uint8).reshape(3, 9, 16, 3),
    np.ones(3, np.float32), np.zeros(3, np.float32), ((0.2, 0.4),), 0.6,
)  # fmt: skip


def test_there_and_back(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert read_sight(lake, "v_1") is None
    for loudness in (SILENT, Loudness(np.array([-20.0, np.nan], np.float32))):
        write_sight(lake, "v_1", Sight(LOOKS, loudness, "all"))
        back = read_sight(lake, "v_1")
        assert back is not None
        assert (back.fps, back.looks.gaps, back.looks.end_s) == ("all", ((0.2, 0.4),), 0.6)
        for name in ("frame_offset", "time_s", "thumbs", "change", "ratio"):
            np.testing.assert_array_equal(getattr(back.looks, name), getattr(LOOKS, name))
        np.testing.assert_array_equal(back.loudness.level_db, loudness.level_db)


def test_damage_and_other_versions_are_nothing(tmp_path: Path, monkeypatch: object) -> None:
    lake = Lake(tmp_path)
    write_sight(lake, "v_1", Sight(LOOKS, SILENT, "5"))
    whole = sight_path(lake, "v_1").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"PK" + whole[2:40]):
        sight_path(lake, "v_1").write_bytes(content)
        assert read_sight(lake, "v_1") is None
    write_sight(lake, "v_1", Sight(LOOKS, SILENT, "5"))
    monkeypatch.setattr(sights, "VERSION", 99)  # type: ignore[attr-defined]
    assert read_sight(lake, "v_1") is None
