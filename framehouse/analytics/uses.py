"""Every use of the archive, by its kind.

A new one is `analytics/<kind>.py` with its `Params` and its `judge` (see `presence`), an entry here, and a command of
options that ends in `cli.rulings.rule`; the lake, the tables, `rulesets`, `--against` and `/v1` then have it.
"""

from __future__ import annotations

from typing import Any

from framehouse.analytics import policy, proctor
from framehouse.analytics.lines import LINES
from framehouse.analytics.presence import PRESENCE
from framehouse.analytics.scenes import SCENES
from framehouse.analytics.tags import TAGS
from framehouse.analytics.use import Use
from framehouse.errors import NotFound

USES: dict[str, Use[Any]] = {use.kind: use for use in (LINES, policy.USE, PRESENCE, proctor.USE, SCENES, TAGS)}


def use_of(kind: str) -> Use[Any]:
    """The use of a kind. Raises NotFound."""
    if kind not in USES:
        raise NotFound(f"no use is called {kind}", hint=f"one of {', '.join(sorted(USES))}")
    return USES[kind]
