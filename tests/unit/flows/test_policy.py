"""What is tried again, how often, and after which pauses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framehouse.errors import FramehouseError, all_errors
from tasks._policy import DELAYS_S, JITTER, RETRY, is_retryable
from tasks.fetch import fetch_video
from tasks.frames import plan_video
from tasks.infer import infer_video
from tasks.load import request_load


@pytest.mark.parametrize("error", [*all_errors()], ids=lambda error: error.__name__)
def test_an_error_is_tried_again_when_its_class_says_so(error: type[FramehouseError]) -> None:
    state: Any = SimpleNamespace(data=error("once"))
    assert is_retryable(fetch_video, None, state) is error.retryable  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyboardInterrupt(), None])
def test_what_is_not_ours_is_not_tried_again(error: BaseException | None) -> None:
    state: Any = SimpleNamespace(data=error)
    assert not is_retryable(fetch_video, None, state)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", [fetch_video, plan_video, infer_video, request_load], ids=lambda task: task.name)
def test_every_stage_backs_off_with_jitter(task: Any) -> None:
    assert task.retries == len(DELAYS_S)
    assert task.retry_delay_seconds == DELAYS_S == sorted(DELAYS_S)
    assert task.retry_jitter_factor == JITTER > 0
    assert task.retry_condition_fn is is_retryable
    assert RETRY["persist_result"] is False
