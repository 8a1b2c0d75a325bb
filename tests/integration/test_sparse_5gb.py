"""A video of 5 GB, nearly all of it holes: hashed where it lies, and a download taken up near its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from framehouse import ids
from framehouse.storage.base import LocalVideo, SourceLimits
from framehouse.storage.http import HttpSource
from framehouse.storage.local import LocalSource
from framehouse.storage.partfile import Identity
from httpserver import serve

pytestmark = pytest.mark.slow
SIZE = 5 * 1024**3
MISSING = 10_000_000
END = b"the end"


class Sparse:
    """Content of the size of `SIZE` that holds no bytes but its end."""

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(SIZE)
        assert stop - start <= MISSING, "nobody moves all of it"
        content = bytearray(stop - start)
        if stop == SIZE:
            content[-len(END) :] = END
        return bytes(content)


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalVideo]:
    path = tmp_path_factory.mktemp("sparse") / "sparse.mp4"
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.seek(SIZE - len(END))
        file.write(END)
    yield LocalSource(path).fetch(path.parent)
    path.unlink()


def test_a_local_file_is_hashed_where_it_lies(hashed: LocalVideo) -> None:
    assert (hashed.size_bytes, hashed.n_fetched_bytes) == (SIZE, 0)
    assert hashed.path.stat().st_blocks * 512 < 1_000_000  # still sparse


def test_a_download_goes_on_behind_five_gigabytes(hashed: LocalVideo, tmp_path: Path) -> None:
    with serve(Sparse()) as site:  # type: ignore[arg-type]
        key = hashlib.sha256(site.url().encode()).hexdigest()[:32]
        with (tmp_path / f"{key}.part").open("wb") as part:
            part.truncate(SIZE - MISSING)
        (tmp_path / f"{key}.json").write_text(json.dumps(asdict(Identity("earlier", site.etag, size_bytes=SIZE))))
        source = HttpSource(site.url() + "?sig=1", SourceLimits(allow_private=True, stall_timeout_s=120))
        assert source.stat().size_bytes == SIZE
        video = source.fetch(tmp_path)
        assert (video.size_bytes, video.n_fetched_bytes, video.sha256) == (SIZE, MISSING, hashed.sha256)
        assert site.requests[-1]["range"] == f"bytes={SIZE - MISSING}-"
        assert video.path.name == f"{ids.video_id(hashed.sha256)}.mp4"
    video.path.unlink()
