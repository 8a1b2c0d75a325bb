"""Every promise of /openapi.json, tried with what fits and what does not (schemathesis), on the application itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from framehouse.api.app import create_app
from framehouse.config import Settings
from framehouse.results.lake import Lake
from framehouse.state.keys import RESERVED
from framehouse.store.rebuild import rebuild


def not_a_failure_of_ours(ctx: Any, response: Any, case: Any) -> bool | None:
    """No 5xx, but those that say the truth here: no engine runs behind this application, no disk holds any upload."""
    truths = {503: "job.engine_unavailable", 507: "api.no_room"}
    if (code := truths.get(response.status_code)) and response.json()["error"]["code"] == code:
        return None
    return not_a_server_error(ctx, response, case)  # type: ignore[no-any-return]


CHECKS = (
    not_a_failure_of_ours, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection,
)  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    rebuild(settings.store_dir, Lake(settings.lake_dir))
    made = create_app(settings)
    yield made
    made.state.api.state.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does not fit"])
def test_every_answer_is_one_that_is_promised(app: Any, mode: GenerationMode) -> None:
    found = schemathesis.openapi.from_asgi("/openapi.json", app)
    found.config.generation.with_security_parameters = False  # a fresh local install wants no key
    operations = [result.ok() for result in found.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        if operation.path.endswith("/events"):
            continue  # an endless answer for a job that goes on
        try_operation(operation, mode)


def try_operation(operation: Any, mode: GenerationMode) -> None:
    """Some requests of one operation, good or bad ones; every answer must be a promised one."""

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def run(case: Any) -> None:
        case.call_and_validate(checks=list(CHECKS))

    try:
        run()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, operation.label  # nothing to get wrong


def test_every_route_has_a_summary_and_a_place(app: Any) -> None:
    paths = app.openapi()["paths"]
    routes = [(path, operation) for path, operations in paths.items() for operation in operations.values()]
    assert len(routes) > 25
    for path, operation in routes:
        assert operation["summary"] and operation["tags"] and operation["description"], path
        first = path.split("/")[1]
        assert first in RESERVED or first in ("", "{workspace}"), f"{path}: no workspace may be called {first}"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/health", "/docs", "/openapi.json"])
def test_reserved_segments_are_matched_before_any_workspace(app: Any, path: str) -> None:
    assert TestClient(app).get(path).status_code == 200


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/ui/x", "/metrics/a/b", "/results/a/b"])
def test_a_reserved_segment_is_no_workspace(app: Any, path: str) -> None:
    assert TestClient(app).get(path).status_code == 404


def test_the_document_is_whole_and_names_no_machine(app: Any, tmp_path: Path) -> None:
    text = str(app.openapi())
    assert "127.0.0.1" not in text and str(tmp_path) not in text
