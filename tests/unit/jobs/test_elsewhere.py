"""A run of a file that this host does not have is left to the host that has it, for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from framehouse.jobs.elsewhere import PATIENCE_S, lies_elsewhere


@pytest.mark.parametrize(
    ("source", "late_s", "left"),
    [
        ("{here}", 0, False),
        ("file://{here}", 0, False),
        ("{here}.not", 0, True),
        ("file://{here}.not", 0, True),
        ("{here}.not", PATIENCE_S + 1, False),
        ("file://another/host.mp4", 0, False),
        ("https://example.com/a.mp4", 0, False),
        ("s3://bucket/a.mp4", 0, False),
        (None, 0, False),
    ],
)
def test_what_is_left_to_another_host(tmp_path: Path, source: str | None, late_s: float, left: bool) -> None:
    here = tmp_path / "a ü.mp4"
    here.touch()
    due = datetime.now(UTC) - timedelta(seconds=late_s)
    assert lies_elsewhere(source and source.format(here=here), due) is left
