"""Parts of model versions that no longer exist. Parts are the truth, so this is done only for who asks for it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framehouse.keep.sweep import Found, sized
from framehouse.results.files import make_folder
from framehouse.results.finding_files import delete_finding, heads_of
from framehouse.results.lake import Lake
from framehouse.state import State
from framehouse.state.keeping import Keeping

_LEASE_S = 600.0


@dataclass(frozen=True, slots=True)
class Superseded:
    """Parts by model digests that none of the models of this installation has; their rows leave the tables as well,
    and so does what rulesets found in them.

    What goes is moved to `lake/gone/` first: a death in the midst leaves it there, and the next look goes on with it.
    """

    lake: Lake
    state: State
    digests: frozenset[str]
    kind: str = "superseded"

    def find(self) -> Iterator[Found]:
        """Sets of parts by unknown digests, of videos that no unfinished job is on."""
        needed = Keeping(self.state.engine)
        for left in sorted(self._gone.glob("*")):
            yield Found(self.kind, str(left), *sized([left]), "an earlier prune ended before it was gone")
        for video_id, digest in self.lake.part_keys():
            if digest not in self.digests and not needed.is_video_needed(video_id):
                folder = self.lake.parts_dir(video_id, digest)
                yield Found(self.kind, str(folder), *sized([folder]), f"no model has the digest {digest} any more")

    def remove(self, found: Found) -> bool:
        """Move it out of the lake, have the loader take its rows out, remove it; False while a run holds the video."""
        folder = Path(found.name)
        if folder.parent == self._gone:
            return self._finish(folder)
        video_id, digest = folder.parent.name, folder.name
        lease = self.state.acquire(f"video/{video_id}", f"prune {time.time()}", _LEASE_S)
        if lease is None:
            return False
        try:
            make_folder(self._gone)
            going = self._gone / f"{video_id}.{digest}"
            if folder.exists():
                folder.replace(going)
            return self._finish(going)
        finally:
            self.state.release(lease)

    @property
    def _gone(self) -> Path:
        return self.lake.root / "gone"

    def _finish(self, going: Path) -> bool:
        video_id, _, digest = going.name.partition(".")
        self.state.request_load([(video_id, digest)])
        stale = [head.ruleset.ruleset_id for head in heads_of(self.lake, video_id) if digest in head.model_digests]
        for ruleset_id in stale:
            delete_finding(self.lake, ruleset_id, video_id)
        self.state.request_findings([(ruleset_id, video_id) for ruleset_id in stale])
        if going.exists():
            shutil.rmtree(going)
        return True
