"""When a server is said to hang, and when not."""

from __future__ import annotations

import pytest

from framehouse.inference.hang import HangWatch, ServerProgress, read_progress

METRICS = """# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="detector",version="1"} 41
nv_inference_request_success{model="selftest",version="1"} 1
nv_inference_request_failure{model="detector",reason="OTHER",version="1"} 9
nv_inference_pending_request_count{model="detector",version="1"} 3
"""
Look = tuple[float, ServerProgress | None]


def test_figures_are_read_from_the_page() -> None:
    assert read_progress(METRICS) == ServerProgress(3, 42)
    assert read_progress("") == ServerProgress(0, 0)


def seen(n_waiting: int, n_done: int) -> ServerProgress:
    return ServerProgress(n_waiting, n_done)


@pytest.mark.parametrize(
    ("looks", "fault"),
    [
        ([(0, None)], None),
        ([(0, None), (29, None)], None),
        ([(0, None), (30, None)], "no answer for 30 s"),
        ([(0, None), (20, seen(0, 0)), (49, None)], None),
        ([(0, None), (20, seen(0, 0)), (50, None)], "no answer for 30 s"),
        ([(0, seen(0, 5)), (1000, seen(0, 5))], None),  # nothing to do
        ([(0, seen(4, 5)), (64, seen(4, 5))], None),
        ([(0, seen(4, 5)), (65, seen(4, 5))], "requests wait and none was answered for 65 s"),
        ([(0, seen(4, 5)), (30, seen(0, 5)), (65, seen(2, 5))], "requests wait and none was answered for 65 s"),
        ([(0, seen(4, 5)), (60, seen(4, 6)), (120, seen(4, 6))], None),  # slow, but it moves
        ([(0, seen(4, 500)), (60, seen(4, 1)), (120, seen(4, 1))], None),  # it was restarted
    ],
)
def test_a_hang_is_no_answers_while_some_are_owed(looks: list[Look], fault: str | None) -> None:
    watch = HangWatch(silent_s=30.0, stuck_s=65.0)
    assert [watch.fault(*look) for look in looks][-1] == fault


def test_a_new_server_begins_anew() -> None:
    watch = HangWatch(silent_s=30.0, stuck_s=65.0)
    watch.fault(0, None)
    watch.forget()
    assert watch.fault(100, None) is None
