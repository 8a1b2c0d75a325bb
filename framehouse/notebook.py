"""The door for notebooks and scripts: what is stored, as DuckDB relations and DataFrames.

::

    import framehouse

    house = framehouse.connect()
    house.sql("SELECT * FROM objects_per_video").df()
    house.search("a red car", top=5)
    house.sql("FROM moments(embed_text('a red car'), 5)").df()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from framehouse.analytics.boxes_of_frame import to_supervision
from framehouse.config import Settings, load_settings
from framehouse.errors import ConfigError
from framehouse.jobs.texts import DEFAULT_MODEL, SearchTexts
from framehouse.store.search import Place
from framehouse.store.session import Session

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Notebook", "connect", "to_supervision"]

FULL = 16384
"""A side that no picture reaches: the frame at its own size."""
Way = Literal["auto", "clip", "tags", "text"]


class Notebook(Session):
    """The newest published snapshot, read-only, with `embed_text(text)`; tables and DataFrames of your own beside it.

    Args:
        settings: of this process.
        model: which CLIP `embed_text` and `search` ask.
    """

    def __init__(self, settings: Settings, model: str = DEFAULT_MODEL) -> None:
        self._settings, self._model = settings, model
        super().__init__(
            settings.store_dir, memory=settings.store.query_memory, texts=SearchTexts(settings, model)
        )  # fmt: skip

    def search(
        self, query: str, top: int = 10, *, by: Way = "auto", video_ids: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Moments by a text, best first, as `framehouse search`: one row each.

        `attrs["notes"]` of the DataFrame says which way could not be gone and why.

        Raises:
            ConfigError, StoreError: as `jobs.search`.
        """
        import pandas as pd  # noqa: PLC0415  half a second to import

        from framehouse.analytics.search import search_tags, search_written  # noqa: PLC0415
        from framehouse.jobs.search import search_by_text, search_every_way  # noqa: PLC0415

        store = self._settings.store
        place = Place(
            self._settings.store_dir, None if video_ids is None else tuple(video_ids),
            timeout_s=store.query_timeout_s, memory=store.query_memory, resident=True,
        )  # fmt: skip
        if by == "tags":
            answer = search_tags(query, place, top)
        elif by == "text":
            answer = search_written(query, place, top)
        elif by == "clip":
            answer = search_by_text(query, self._model, place, top, self._settings)
        else:
            answer = search_every_way(query, self._model, place, top, self._settings)
        found = pd.DataFrame([asdict(moment) for moment in answer.moments])
        found.attrs.update(way=answer.way, words=dict(answer.words), notes=list(answer.notes))
        return found

    def picture(self, video_id: str, frame_offset: int, *, side: int = 960) -> NDArray[np.uint8]:
        """A frame of a video whose file is on this machine: uint8 [height, width, 3] RGB, upright.

        Args:
            side: neither side is longer; it is never scaled up. Boxes are in pixels of the frame as it is: for those
                ask with `side=FULL`.

        Raises:
            SourceNotFound: the file is not here; MediaError: no such frame, or it is damaged.
        """
        from framehouse.jobs.media import local_file  # noqa: PLC0415
        from framehouse.render.stills import still  # noqa: PLC0415
        from framehouse.video.probe import probe  # noqa: PLC0415

        path = local_file(self._settings, video_id)
        return still(path, probe(path, max_pixels=self._settings.source.max_pixels), frame_offset, side=side)


def connect(home: Path | str | None = None, *, model: str = DEFAULT_MODEL) -> Notebook:
    """Open what is stored, for a notebook or a script; the stack may be down.

    Args:
        home: FRAMEHOUSE_HOME; None takes the environment's, else the default.
        model: which CLIP `embed_text` asks.

    Raises:
        StoreError: code `store.empty`, nothing was published yet.
        ConfigError: code `config.home`: no such folder; a setting that does not fit.
    """
    settings = load_settings()
    if home is not None:
        folder = Path(home).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}", code="config.home", hint="the folder that FRAMEHOUSE_HOME names")
        settings = settings.model_copy(update={"home": folder})
    return Notebook(settings, model)
