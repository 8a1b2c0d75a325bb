"""Copies of videos for people to look at (stills, proxies): each made again when it is asked for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framehouse.keep.sweep import Found, days, sized, stat_of


@dataclass(frozen=True, slots=True)
class MediaCopies:
    """What was made of each video, a folder per video; a use touches the folder.

    Attributes:
        folder: holds a folder for each video_id.
        older_than_s: kept so long after its last use.
        largest_bytes: of all together; the least recently used go first.
        young_s: used so lately, it is left alone whatever the size.
    """

    folder: Path
    older_than_s: float
    largest_bytes: int
    young_s: float
    kind: str = "media-copies"

    def find(self) -> Iterator[Found]:
        """Least recently used first: the old ones, then what is over the limit."""
        now = time.time()
        made = [(facts[0], path, *sized([path])) for path in self.folder.glob("v_*") if (facts := stat_of(path))]
        over = sum(n_bytes for *_, n_bytes in made) - self.largest_bytes
        for used_at, path, n_files, n_bytes in sorted(made):
            age_s = now - used_at
            if age_s > max(self.older_than_s, self.young_s):
                reason = f"last looked at {days(age_s)} ago"
            elif over > 0 and age_s > self.young_s:
                reason = f"copies take more than {self.largest_bytes} bytes; last looked at {days(age_s)} ago"
            else:
                continue
            over -= n_bytes
            yield Found(self.kind, str(path), n_files, n_bytes, reason)

    def remove(self, found: Found) -> bool:
        """Remove them, unless they were used meanwhile; who plays one reads on."""
        path = Path(found.name)
        facts = stat_of(path)
        if facts and time.time() - facts[0] <= self.young_s:
            return False
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
