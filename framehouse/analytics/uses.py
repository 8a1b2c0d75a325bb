"""Every use of the archive, by its kind. A new one is a file beside this, an entry here, and a command."""

from __future__ import annotations

from typing import Any

from framehouse.analytics import policy, proctor
from framehouse.analytics.use import Use
from framehouse.errors import NotFound

USES: dict[str, Use[Any]] = {use.kind: use for use in (policy.USE, proctor.USE)}


def use_of(kind: str) -> Use[Any]:
    """The use of a kind. Raises NotFound."""
    if kind not in USES:
        raise NotFound(f"no use is called {kind}", hint=f"one of {', '.join(sorted(USES))}")
    return USES[kind]
