"""What a video has of a model, without its rows: which instants parts hold, and why others are gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import ResultsError
from framehouse.results.parts import LATER_SCHEMA, from_parquet
from framehouse.results.quarantine import QUARANTINED

log = structlog.get_logger(__name__)

GapPolicy = Literal["every", "all", "model", "none"]
"""Which gaps are tried again: every one; all but those in quarantine; only what a model failed on; none."""
GAP_POLICIES: tuple[GapPolicy, ...] = ("every", "all", "model", "none")

DEADLY = frozenset({QUARANTINED, "decode.worker_died"})
"""Reasons of gaps in chunks that killed their processes, alone as well: another try may do so again. The second is that
of release 0.1."""


def is_tried_again(reason: str, policy: GapPolicy) -> bool:
    """Whether a gap with this reason is work under a policy.

    >>> [is_tried_again("decode.damaged", policy) for policy in GAP_POLICIES]
    [True, True, False, False]
    >>> [is_tried_again("decode.quarantined", policy) for policy in GAP_POLICIES]
    [True, False, False, False]
    """
    if policy == "every":
        return True
    if policy == "none" or reason in DEADLY:
        return False
    return policy == "all" or not reason.startswith("decode.")


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Instants of one video by one model digest.

    Args:
        loaded: int64, sorted.
        gaps: int64, sorted; none of them is loaded.
        reasons: object, of each gap: the smallest of its parts, as in the tables.
    """

    loaded: NDArray[np.int64]
    gaps: NDArray[np.int64]
    reasons: NDArray[np.object_]

    def left_alone(self, policy: GapPolicy) -> NDArray[np.int64]:
        """Gaps that the policy leaves as they are, sorted int64."""
        kept = [not is_tried_again(str(reason), policy) for reason in self.reasons]
        return self.gaps[np.array(kept, np.bool_)]

    def reasons_of(self, frame_offset: NDArray[np.int64]) -> list[str]:
        """Reasons of some of its gaps, in their order."""
        return [str(reason) for reason in self.reasons[np.searchsorted(self.gaps, frame_offset)]]


def standing(paths: Iterable[Path]) -> Standing:
    """Read the ledgers of parts (`Lake.part_paths`). A part that cannot be read holds nothing.

    Raises:
        ResultsError: code `results.schema_version`, a part of a later release.
    """
    loaded: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    reasons: dict[int, str] = {}
    for path in paths:
        try:
            table, _ = from_parquet(path, ["frame_offset", "gap_reason"])
        except FileNotFoundError:  # set aside by another process
            continue
        except ResultsError as error:
            if error.code == LATER_SCHEMA:
                raise
            log.warning("part left out", path=str(path), code=error.code)  # who writes or loads sets it aside
            continue
        frame_offset: NDArray[np.int64] = table.column("frame_offset").to_numpy()
        why: list[Any] = table.column("gap_reason").to_pylist()
        is_gap = np.array([reason is not None for reason in why], np.bool_)
        loaded.append(frame_offset[~is_gap])
        for offset, reason in zip(frame_offset[is_gap].tolist(), filter(None, why), strict=True):
            reasons[offset] = min(reason, reasons.get(offset, reason))
    held = np.unique(np.concatenate(loaded))
    gaps = np.setdiff1d(np.array(sorted(reasons), np.int64), held)
    return Standing(held, gaps, np.array([reasons[offset] for offset in gaps.tolist()], np.object_))
