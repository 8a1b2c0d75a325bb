"""What deployment files name, held against what there is: settings, programs, modules."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from framehouse.config import Settings
from framehouse.readiness import READY_DIR

PLAIN = {
    *("PATH", "HOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "MPLCONFIGDIR", "DO_NOT_TRACK", READY_DIR),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"),
    *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
    *("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "PGDATA", "OTEL_EXPORTER_OTLP_ENDPOINT"),
}
"""Variables of others than ours, Prefect's and Dask's."""


def unknown_variables(names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Those of them that nobody reads."""
    known = _settings_names() | _prefect_names() | PLAIN
    return [name for name in names if name not in known and not _is_dask(name) and not name.startswith("GF_")]


def wrong_settings(environment: Mapping[str, Any]) -> list[str]:
    """Values of our own settings that their fields refuse."""
    wrong = []
    for name, value in environment.items():
        if not name.startswith("FRAMEHOUSE_") or name == READY_DIR or not str(value):
            continue
        group, _, field = name.removeprefix("FRAMEHOUSE_").lower().partition("__")
        kind = Settings.model_fields[group].annotation
        if field:
            assert isinstance(kind, type) and issubclass(kind, BaseModel)
            try:
                kind.model_validate({field: value})
            except ValueError as error:
                wrong.append(f"{name}={value}: {error}")
    return wrong


def command_faults(argv: Sequence[str]) -> Iterator[str]:
    """What in a command of our image is not there: the program, its module, an option of Dask's."""
    program, *words = map(str, argv)
    if program == "python":
        if words[0] != "-m" or importlib.util.find_spec(words[1]) is None:
            yield f"no module in {argv}"
    elif program == "dask":
        yield from _dask_faults(words)
    elif program not in ("prefect", "tritonserver"):
        yield f"unknown program {program}"


def _dask_faults(words: Sequence[str]) -> Iterator[str]:
    import click
    from distributed.cli import dask_scheduler, dask_worker

    main = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[words[0]]
    try:
        main.make_context(words[0], list(words[1:]))
    except click.ClickException as error:
        yield f"{words}: {error.format_message()}"


@cache
def _settings_names() -> frozenset[str]:
    names = set()
    for group, field in Settings.model_fields.items():
        kind = field.annotation
        inner = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
        names |= {f"FRAMEHOUSE_{group}__{name}".upper() for name in inner} or {f"FRAMEHOUSE_{group}".upper()}
    return frozenset(names)


@cache
def _prefect_names() -> frozenset[str]:
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_settings_fields

    return frozenset(_get_settings_fields(PrefectSettings))


def _is_dask(name: str) -> bool:
    """Whether a variable sets something that Dask's own configuration has."""
    import dask
    import distributed  # noqa: F401  brings its defaults along

    if not name.startswith("DASK_"):
        return False
    value: Any = dask.config.config
    for part in name.removeprefix("DASK_").lower().split("__"):
        key = next((key for key in value if re.sub("-", "_", key) == part), None) if isinstance(value, dict) else None
        if key is None:
            return False
        value = value[key]
    return True
