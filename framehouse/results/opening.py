"""Which lake a setting means: a folder of this host, or a bucket."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from framehouse.results.bucket import Bucket
from framehouse.results.lake import Lake
from framehouse.storage.stores import open_objects


def open_lake(where: str, cache_dir: Path) -> Lake:
    """The lake in a folder or under the address of a bucket; nothing is touched yet.

    A bucket is opened by the credentials that its SDK finds on this host: the loader needs no Prefect for them.

    Args:
        where: a path, or `s3://bucket/prefix`, `gs://…`, `az://…`, `file:///…`.
        cache_dir: where copies of a bucket's parts are kept.

    Raises:
        ConfigError: an address that no store serves.
    """
    return _in_bucket(where, cache_dir, os.getpid()) if "://" in where else Lake(Path(where))


@lru_cache(maxsize=8)
def _in_bucket(where: str, cache_dir: Path, _pid: int) -> Lake:
    """Kept, since a client is dear to make; for one process, since its connections do not survive a fork."""
    store, prefix = open_objects(where)
    prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
    name = f"{store.uri}/{prefix}".encode("utf-8", "surrogatepass")
    root = cache_dir / hashlib.sha256(name).hexdigest()[:16]
    return Lake(root, Bucket(store, prefix, root))
