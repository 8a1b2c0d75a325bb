"""An object of a store as a file of this host: resumable, once for all processes that ask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from framehouse.storage.objects import ObjectStore
from framehouse.storage.partfile import Identity, PartFile


def download(
    store: ObjectStore, key: str, folder: Path, suffix: str, on_piece: Callable[[], None] = lambda: None
) -> Path:
    """The object as a file of `folder` that is named by its content and ends in `suffix`.

    Calling it again resumes what an earlier call left, and costs one question when the bytes are here.

    Args:
        on_piece: called now and then; what it raises ends the download, and another goes on with it.

    Raises:
        SourceError: as `ObjectStore` describes; of our own disk, `source.disk_full` or `source.not_writable`.
    """
    facts = store.stat(key)
    request = hashlib.sha256(f"{store.uri}/{key}".encode("utf-8", "surrogatepass")).hexdigest()
    identity = Identity(request, etag=facts.etag, last_modified=facts.modified_at, size_bytes=facts.size_bytes)
    with PartFile.open(folder, request[:32]) as part:
        known = part.identity is not None and part.identity.agrees(identity)
        if known and (finished := part.finished) is not None:
            return finished
        if not known:
            part.begin(identity)
        for piece in store.open_range(key, part.size, etag=facts.etag):
            on_piece()
            part.append(piece)
        return part.finish(suffix)
