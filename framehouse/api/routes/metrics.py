"""/metrics: the figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from framehouse.api.context import ApiContext, Reader
from framehouse.jobs.figures import Family, figures
from framehouse.state.measures import write_tally

router = APIRouter(tags=["health"])
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class PrometheusResponse(PlainTextResponse):
    """Text of the format's version 0.0.4."""

    media_type = "text/plain; version=0.0.4"


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PrometheusResponse)
def metrics(api: ApiContext, _: Reader) -> PrometheusResponse:
    """What every hop of every process did, queues, the age of the snapshot, Triton, the parts of the stack. Names of
    models and error codes, but none of videos or keys."""
    write_tally(api.state.engine, api.tally)
    found = figures(api.settings, api.state, api.servers)
    return PrometheusResponse("\n".join(line for family in found for line in _lines(family)) + "\n")


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.text}"
    yield f"# TYPE {family.name} {family.kind}"
    for (name, labels), value in family.samples.items():
        shown = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in labels)
        yield f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _number(value: float) -> str:
    """All digits of a count, and as many of a time as matter."""
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"
