"""What came over HTTP is fetched within limits of its own; the machine's owner may fetch from anywhere, for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framehouse.state import JobRequest
from framehouse.storage.base import SourceLimits
from jobs_in_hand import new_attempt
from tasks import fetch


@pytest.mark.parametrize(("is_owner", "total_s"), [(True, None), (False, 77.0)])
def test_limits_of_a_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_owner: bool, total_s: float | None
) -> None:
    attempt = new_attempt(tmp_path, JobRequest("http://example.org/a.mp4", ("m",), allow_private=is_owner))
    source = attempt.settings.source
    source.total_timeout_s, source.max_redirects, source.max_bytes, source.stall_timeout_s = 77.0, 3, 1000, 9.0
    seen: list[SourceLimits] = []

    def note(_uri: str, limits: SourceLimits, *_more: Any, **_named: Any) -> Any:
        seen.append(limits)
        raise LookupError

    monkeypatch.setattr(fetch, "open_source", note)
    with pytest.raises(LookupError):
        fetch.fetch_video.fn(attempt)
    (limits,) = seen
    assert (limits.allow_private, limits.total_timeout_s) == (is_owner, total_s)
    assert (limits.max_redirects, limits.max_bytes, limits.stall_timeout_s) == (3, 1000, 9.0)
