"""Which lake a setting means: a folder of this host, or a bucket."""

from __future__ import annotations

import hashlib
from pathlib import Path

from framehouse.results.bucket import Bucket
from framehouse.results.lake import Lake
from framehouse.storage.registry import open_objects


def open_lake(where: str, cache_dir: Path) -> Lake:
    """The lake in a folder or under the address of a bucket; nothing is touched yet.

    Args:
        where: a path, or `s3://bucket/prefix`, `gs://…`, `az://…`, `file:///…`.
        cache_dir: where copies of a bucket's parts are kept.

    Raises:
        ConfigError: an address that no store serves.
    """
    if "://" not in where:
        return Lake(Path(where))
    store, prefix = open_objects(where)
    prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
    root = cache_dir / hashlib.sha256(f"{store.uri}/{prefix}".encode()).hexdigest()[:16]
    return Lake(root, Bucket(store, prefix, root))
