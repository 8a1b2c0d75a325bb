"""A chunk in a process of its own: what it returns, what it raises, and how it dies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import alone_work as work
from framehouse.alone import Death, run_alone
from framehouse.errors import InferenceError

pytestmark = pytest.mark.real("dask")


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child imports what it is to do by name."""
    monkeypatch.setenv("PYTHONPATH", str(Path(work.__file__).parent))


def test_what_the_work_returns_comes_back() -> None:
    assert run_alone(work.double, 21, 30.0) == 42


def test_what_the_work_raises_comes_back_as_it_was() -> None:
    with pytest.raises(InferenceError) as caught:
        run_alone(work.fail, "final", 30.0)
    assert (caught.value.code, caught.value.facts["second"]) == ("inference.shape", 1.5)


@pytest.mark.parametrize(
    ("how", "cause"),
    [("segfault", "SIGSEGV"), ("kill", "SIGKILL"), ("exit", "exit code 3"), ("hang", "no progress for 1 s")],
)
def test_a_death_says_how_it_came(how: str, cause: str) -> None:
    end = run_alone(work.die, how, 1.0)
    assert isinstance(end, Death)
    assert end.cause == cause
    assert how in end.said
    assert ("alone_work.py" in end.said) == (how in ("segfault", "hang")), "where it was"


def test_one_that_eats_memory_is_ended() -> None:
    began = time.monotonic()
    end = run_alone(work.eat, 4 * 1024**3, 60.0, memory_bytes=400 * 1024**2)
    assert isinstance(end, Death)
    assert end.cause == "more than 419430400 bytes of memory"
    assert time.monotonic() - began < 60
