"""Ledgers without rows: what is loaded, which gaps there are, and which of them are tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from framehouse.results.lake import Lake
from framehouse.results.standing import GapPolicy, standing
from lakes import DETECTOR, put_part, video_name


def test_nothing_and_one_and_many(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    empty = standing(lake.part_paths(video_name(0), DETECTOR))
    assert (empty.loaded.size, empty.gaps.size, empty.reasons.size) == (0, 0, 0)
    assert empty.left_alone("none").tolist() == []
    put_part(lake, [0, 5, 10], gaps={5: "decode.damaged", 10: "inference.error"})
    put_part(lake, [5, 10, 15], gaps={10: "decode.damaged"})
    put_part(lake, [600], chunk_id="c000000600", gaps={600: "decode.quarantined"})
    held = standing(lake.part_paths(video_name(0), DETECTOR))
    assert held.loaded.tolist() == [0, 5, 15], "loaded beats gap"
    assert held.gaps.tolist() == [10, 600]
    assert held.reasons.tolist() == ["decode.damaged", "decode.quarantined"], "the smallest reason, as in the tables"
    assert standing(lake.part_paths(video_name(0), DETECTOR, "c000000600")).gaps.tolist() == [600]


@pytest.mark.parametrize(
    ("policy", "left"),
    [("every", []), ("all", [30]), ("model", [10, 30]), ("none", [10, 20, 30])],
)
def test_what_a_policy_leaves_alone(tmp_path: Path, policy: GapPolicy, left: list[int]) -> None:
    lake = Lake(tmp_path)
    put_part(lake, [10, 20, 30], gaps={10: "decode.missing", 20: "inference.error", 30: "decode.quarantined"})
    held = standing(lake.part_paths(video_name(0), DETECTOR))
    found = held.left_alone(policy)
    assert found.tolist() == left
    assert len(held.reasons_of(found)) == len(left)


def test_a_damaged_part_holds_nothing_and_stays(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    path = Path(put_part(lake, [0, 5]).path)
    path.write_bytes(path.read_bytes()[:-20])
    assert standing([path]).loaded.size == 0
    assert path.exists()
