"""Real parts: what a test needs beyond this process, whether it ran, and why it did not.

A test says what it needs with `@pytest.mark.real("triton")`, by asking for a fixture of `FIXTURE_PARTS`, or by living
in `integration/` or `e2e/`. It skips with a reason when the part cannot run here. `FRAMEHOUSE_TEST_REQUIRE` (`all`, or
parts joined by commas) turns such a skip into a failure, so that a green run cannot hide that Triton never ran.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
"""Root of the repository."""
REQUIRE_VARIABLE = "FRAMEHOUSE_TEST_REQUIRE"
FIXTURE_PARTS = {
    "browser": "browser",
    "sample_videos": "samples",
    "triton": "triton",
    "new_postgres_database": "postgres",
    "stack": "stack",
    "s3_cloud": "moto",
    "gs_cloud": "fake-gcs-server",
    "az_cloud": "azurite",
}
REAL_FOLDERS = ("integration", "e2e")


def cache_folder() -> Path:
    """Where tests keep what is dear to fetch: `$FRAMEHOUSE_TEST_CACHE`, else `.framehouse-test/` of the checkout."""
    return Path(os.environ.get("FRAMEHOUSE_TEST_CACHE") or ROOT / ".framehouse-test").absolute()


def required(part: str) -> bool:
    """Whether this run must not do without the part."""
    wanted = {name.strip() for name in os.environ.get(REQUIRE_VARIABLE, "").split(",")}
    return "all" in wanted or part in wanted


def require(part: str, reason: str) -> NoReturn:
    """End the test: the part cannot run, for this reason. A skip, or a failure where the part is required."""
    if required(part):
        pytest.fail(f"{part} is required ({REQUIRE_VARIABLE}) and cannot run: {reason}", pytrace=False)
    pytest.skip(f"{part}: {reason}")


def parts_of(item: pytest.Item) -> tuple[str, ...]:
    """Names of the real parts that a test needs, sorted; empty for a test of this process alone."""
    marked = {str(name) for marker in item.iter_markers("real") for name in marker.args}
    fixtures = {FIXTURE_PARTS[name] for name in getattr(item, "fixturenames", ()) if name in FIXTURE_PARTS}
    return tuple(sorted(marked | fixtures)) or tuple(name for name in REAL_FOLDERS if name == folder_of(item.path))


def folder_of(path: Path) -> str:
    """`unit`, `contract` …: the first folder below tests/, or an empty string."""
    tests = Path(__file__).parent
    inside = path.relative_to(tests).parts if path.is_relative_to(tests) else ()
    return inside[0] if len(inside) > 1 else ""


@dataclass(slots=True)
class PartLedger:
    """What became of each real part in this run."""

    ran: Counter[str] = field(default_factory=Counter)
    not_run: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def record(self, parts: tuple[str, ...], reason: str | None) -> None:
        """Count one test for each of its parts: as run, or as skipped for the reason."""
        for part in parts:
            if reason is None:
                self.ran[part] += 1
            else:
                self.not_run[part][reason] += 1

    def packed(self) -> dict[str, Any]:
        """What another process can `add`: plain dicts and numbers."""
        return {"ran": dict(self.ran), "not_run": {part: dict(reasons) for part, reasons in self.not_run.items()}}

    def add(self, packed: dict[str, Any]) -> None:
        """Count in what another process counted; an empty dict for one that died before it could tell."""
        self.ran.update(packed.get("ran", {}))
        for part, reasons in packed.get("not_run", {}).items():
            self.not_run[part].update(reasons)

    def lines(self) -> Iterator[str]:
        """One line a part, and one for each reason why tests of it did not run."""
        for part in sorted(self.ran.keys() | self.not_run.keys()):
            n_skipped = self.not_run[part].total()
            yield f"{part}: {self.ran[part]} ran" + (f", {n_skipped} DID NOT RUN" if n_skipped else "")
            yield from (f"    {n} x {reason}" for reason, n in self.not_run[part].items())


LEDGER = pytest.StashKey[PartLedger]()


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Why a report was skipped; None when it was not, or when it is an expected failure."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def fail_instead(report: pytest.TestReport | pytest.CollectReport, parts: tuple[str, ...], reason: str) -> None:
    """Turn a skip into a failure where one of the parts is required."""
    missing = [part for part in parts if required(part)]
    if missing:
        report.outcome = "failed"
        report.longrepr = f"{', '.join(missing)}: required ({REQUIRE_VARIABLE}), but the test was skipped: {reason}"
