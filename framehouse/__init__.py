"""Self-hosted video inference.

>>> import framehouse
>>> house = framehouse.connect()                            # doctest: +SKIP
>>> house.sql("SELECT * FROM objects_per_video").df()       # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framehouse.notebook import Notebook, connect, to_supervision

__all__ = ["Notebook", "connect", "to_supervision"]


def __getattr__(name: str) -> Any:
    """The notebook door's names, imported when they are asked for: `import framehouse` stays light."""
    if name in __all__:
        from framehouse import notebook  # noqa: PLC0415

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
