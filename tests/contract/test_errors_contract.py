"""The error tree: every failure has a stable code, survives a process border, and has one exit code."""

from __future__ import annotations

import inspect
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from framehouse import errors
from framehouse.cli.exit_codes import EXIT_CODES, exit_code
from framehouse.errors import FramehouseError, all_errors

# Codes are stored in run records and tables and matched by users' scripts: none may change or vanish.
PINNED = {
    "FramehouseError": "framehouse.error",
    "ConfigError": "config.invalid",
    "SourceError": "source.error",
    "SourceNotFound": "source.not_found",
    "SourceForbidden": "source.forbidden",
    "SourceUnavailable": "source.unavailable",
    "MediaError": "media.error",
    "UnreadableVideo": "media.unreadable",
    "NoVideoStream": "media.no_video_stream",
    "TruncatedVideo": "media.truncated",
    "FpsExceedsSource": "media.fps_exceeds_source",
    "InferenceError": "inference.error",
    "TensorMismatch": "inference.tensor_mismatch",
    "ModelNotReady": "inference.model_not_ready",
    "InferenceTimeout": "inference.timeout",
    "TritonUnavailable": "inference.triton_unavailable",
    "ResultsError": "results.error",
    "ContractViolation": "results.contract",
    "MisalignedParts": "results.misaligned_parts",
    "StoreError": "store.error",
    "MigrationError": "store.migration",
    "QueryRejected": "store.query_rejected",
    "QueryTimeout": "store.query_timeout",
    "StoreLocked": "store.locked",
    "LakeUnavailable": "store.lake_unavailable",
    "JobError": "job.error",
    "JobNotFound": "job.not_found",
    "LeaseLost": "job.lease_lost",
    "BudgetSpent": "budget.spent",
    "DeploymentMissing": "job.deployment_missing",
    "CatalogNotFound": "job.catalog_not_found",
    "CatalogExists": "job.catalog_exists",
    "EngineUnavailable": "job.engine_unavailable",
    "ApiError": "api.error",
    "BadRequest": "api.bad_request",
    "Unauthorised": "api.unauthorised",
    "NotAllowed": "api.not_allowed",
    "NotFound": "api.not_found",
    "TooMany": "api.limit",
    "NoRoom": "api.no_room",
}
RETRYABLE = {
    "SourceUnavailable",
    "ModelNotReady",
    "InferenceTimeout",
    "TritonUnavailable",
    "StoreLocked",
    "LakeUnavailable",
    "EngineUnavailable",
}
# Exit codes are matched by users' scripts as well.
EXITS = {
    "FramehouseError": 1,
    "ConfigError": 2,
    "SourceError": 3,
    "MediaError": 4,
    "InferenceError": 5,
    "ResultsError": 6,
    "StoreError": 7,
    "JobError": 8,
    "ApiError": 9,
}
TREE = [error for error in all_errors() if error.__module__.startswith("framehouse.")]


def test_codes_are_pinned() -> None:
    assert {error.__name__: error.default_code for error in TREE} == PINNED


def test_codes_are_unique() -> None:
    assert len({error.default_code for error in TREE}) == len(TREE)


def test_the_whole_tree_stands_in_one_file() -> None:
    assert {error.__module__ for error in TREE} == {errors.__name__}


@pytest.mark.parametrize("error", TREE)
def test_code_is_class_then_name(error: type[FramehouseError]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", error.default_code)


def test_retryable_is_pinned() -> None:
    assert {error.__name__ for error in TREE if error.retryable} == RETRYABLE


@pytest.mark.parametrize("error", TREE)
def test_every_class_says_what_it_means(error: type[FramehouseError]) -> None:
    assert error.__dict__.get("__doc__")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", TREE)
def test_pickle_keeps_everything(error: type[FramehouseError], protocol: int) -> None:
    raised = error("Ein Bild fehlt: 'ü'", hint="again", code="media.narrow", video_id="v_0", second=1.5, uri=None)
    back = pickle.loads(pickle.dumps(raised, protocol))
    assert type(back) is error
    assert (back.args, back.message, back.hint, back.code) == (raised.args, raised.message, "again", "media.narrow")
    assert back.facts == {"video_id": "v_0", "second": 1.5, "uri": None}


@pytest.mark.parametrize("error", TREE)
def test_pickle_of_a_bare_error(error: type[FramehouseError]) -> None:
    back = pickle.loads(pickle.dumps(error()))
    assert (type(back), back.line(), back.facts) == (error, error().line(), {})


def _raise_all_in_turn(index: int) -> None:
    raise TREE[index]("from a worker", hop="infer", second=2.0)


def test_errors_come_whole_out_of_a_worker_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        raised = [pool.submit(_raise_all_in_turn, index).exception() for index in range(len(TREE))]
    assert [type(error) for error in raised] == TREE
    assert all(error.facts == {"hop": "infer", "second": 2.0} for error in raised)  # type: ignore[union-attr]


def drawn() -> dict[str, tuple[str, bool]]:
    """The tree as its module's docstring draws it: class name to code (empty for the root) and star."""
    lines = re.findall(r"^ {4}[ │├└]*(\w+)(\*?)(?: +([a-z]+\.[a-z_]+))?", str(errors.__doc__), re.MULTILINE)
    return {name: (code, star == "*") for name, star, code in lines}


def test_the_drawing_is_the_tree() -> None:
    assert drawn() == {
        error.__name__: ("" if error is FramehouseError else error.default_code, error.retryable) for error in TREE
    }


def test_no_fact_is_a_required_keyword() -> None:
    for error in TREE:
        parameters = inspect.signature(error).parameters.values()
        required = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
        assert not required, error.__name__


def test_exit_codes_are_pinned() -> None:
    assert {error.__name__: code for error, code in EXIT_CODES.items()} == EXITS


def test_every_family_has_an_exit_code_of_its_own() -> None:
    assert {FramehouseError, *FramehouseError.__subclasses__()} <= set(EXIT_CODES)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


@pytest.mark.parametrize("error", TREE)
def test_every_error_exits_with_the_code_of_its_family(error: type[FramehouseError]) -> None:
    family = error.__mro__[-len(FramehouseError.__mro__) - 1] if error is not FramehouseError else error
    assert exit_code(error("no", code="narrow.code")) == EXITS[family.__name__]
    assert 0 < exit_code(error()) < 126  # 126 and above mean things to a shell
