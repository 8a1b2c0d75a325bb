from __future__ import annotations

import copy
import pickle

import pytest

from framehouse.errors import ConfigError, FramehouseError, TruncatedVideo, all_errors


def test_the_class_gives_code_and_hint() -> None:
    error = TruncatedVideo("a.mp4 is 1234 bytes short", uri="a.mp4", n_missing=1234)
    assert (error.code, error.retryable) == ("media.truncated", False)
    assert error.facts == {"uri": "a.mp4", "n_missing": 1234}
    assert error.line() == (
        "media.truncated: a.mp4 is 1234 bytes short (the file is cut short; copy or download it again)"
    )


def test_a_raiser_narrows_code_and_hint() -> None:
    error = ConfigError("0 frames a second", code="config.infer_fps", hint="give a rate above 0")
    assert error.line() == "config.infer_fps: 0 frames a second (give a rate above 0)"
    assert ConfigError.default_code == "config.invalid"


@pytest.mark.parametrize("hint", ["", None])
def test_no_hint_leaves_no_brackets(hint: str | None) -> None:
    assert ConfigError("no", hint=hint).line() == "config.invalid: no"


def test_an_empty_hint_takes_the_class_hint_away() -> None:
    assert TruncatedVideo("cut", hint="").line() == "media.truncated: cut"


def test_str_is_the_message_alone() -> None:
    assert str(TruncatedVideo("cut", hint="copy again", uri="a.mp4")) == "cut"


def test_a_copy_keeps_what_the_raiser_said() -> None:
    error = ConfigError("no", code="config.infer_fps", hint="try", uri=None)
    twin = copy.deepcopy(error)
    assert (type(twin), twin.line(), twin.facts) == (ConfigError, error.line(), {"uri": None})


def test_all_errors_lists_root_first_and_each_once() -> None:
    tree = all_errors()
    assert tree[0] is FramehouseError
    assert len(tree) == len(set(tree))
    assert all(issubclass(error, FramehouseError) for error in tree)


def test_an_error_of_the_work_crosses_dask_as_itself_whatever_caused_it() -> None:
    """Dask pickles causes along with an error, and sends a bare Exception when one of them cannot be."""
    from distributed.core import error_message

    from framehouse.cluster import guarded
    from framehouse.errors import TritonUnavailable

    class Local(Exception):
        def __reduce__(self) -> str:
            raise TypeError("cannot be pickled")

    def work(_task: int, _beat: object) -> int:
        try:
            raise Local("socket")
        except Local as error:
            raise TritonUnavailable("nobody answers", model="detector", second=1.5) from error

    with pytest.raises(TritonUnavailable) as caught:
        guarded(work, 1, 60.0)
    received = pickle.loads(error_message(caught.value)["exception"].data)
    assert type(received) is TritonUnavailable
    assert received.facts == {"model": "detector", "second": 1.5}
