"""A bucket that holds a lake: what several hosts share when they share no folder.

Objects are written whole by the store itself. Parts are never changed under their name, so each host keeps those that
it has read in a folder of its own; which parts there are is always asked of the bucket.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import LakeUnavailable, SourceError, SourceForbidden, SourceNotFound, StoreError
from framehouse.results.files import no_room_named
from framehouse.storage.objects import ObjectFacts, ObjectStore
from framehouse.storage.uris import quoted


@dataclass(frozen=True, slots=True)
class Bucket:
    """The objects of a lake below `prefix`, and the folder of this host where copies of its parts lie.

    Attributes:
        prefix: begins every key; empty, or with a slash at its end.
        cache: `<version>/<name>`; anything in it may be removed at any time.

    All methods raise LakeUnavailable (worth another try) or StoreError (`store.lake_forbidden`, `store.lake`).
    """

    store: ObjectStore
    prefix: str
    cache: Path

    @property
    def uri(self) -> str:
        """What opens it again on any host."""
        return f"{self.store.uri}/{quoted(self.prefix)}".rstrip("/")

    def read(self, key: str) -> bytes | None:
        """All bytes of an object, or None."""
        with self._translated():
            try:
                return self.store.read(self.prefix + key)
            except SourceNotFound:
                return None

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Store an object whole; replaces an earlier one."""
        with self._translated():
            self.store.write(self.prefix + key, bytes(content))

    def put(self, key: str, path: Path) -> None:
        """Store a file of any size whole."""
        with self._translated():
            self.store.put(self.prefix + key, path)

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        with self._translated():
            self.store.delete(self.prefix + key)

    def size_of(self, key: str) -> int | None:
        """Bytes of an object, or None when there is none."""
        with self._translated():
            try:
                return self.store.stat(self.prefix + key).size_bytes
            except SourceNotFound:
                return None

    def keys(self, folder: str) -> Iterator[str]:
        """Keys that begin with `folder`, sorted."""
        return (facts.key.removeprefix(self.prefix) for facts in self._list(folder))

    def copies(self, beginning: str, suffix: str) -> list[Path]:
        """Files of this host with the bytes of every object whose key begins and ends so, by name."""
        found = [facts for facts in self._list(beginning) if facts.key.endswith(suffix)]
        return [path for facts in found if (path := self._copy(facts)) is not None]

    def copy_again(self, key: str, path: Path) -> None:
        """Replace a copy that cannot be read; an object that is gone leaves none."""
        content = self.read(key)
        path.unlink(missing_ok=True)
        if content is not None:
            _keep(path, content)

    def _list(self, beginning: str) -> Iterator[ObjectFacts]:
        with self._translated():
            try:
                yield from self.store.list(self.prefix + beginning)
            except SourceNotFound:  # a folder is made by the first write into it; a bucket must be there
                if not self.store.uri.startswith("file:"):
                    raise

    def _copy(self, facts: ObjectFacts) -> Path | None:
        """The copy of this very version; None when the object went since it was listed."""
        version = f"{facts.key}\0{facts.etag or facts.modified_at}\0{facts.size_bytes}"
        name = facts.key.rsplit("/", 1)[-1]
        path = self.cache / hashlib.sha256(version.encode("utf-8", "surrogatepass")).hexdigest()[:24] / name
        if path.exists():
            return path
        content = self.read(facts.key.removeprefix(self.prefix))
        if content is None:
            return None
        _keep(path, content)
        return path

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What a store raises comes out as what the lake raises."""
        try:
            yield
        except SourceError as error:
            if error.retryable:
                raise LakeUnavailable(f"the lake in {self.uri}: {error.message}", lake=self.uri) from error
            code = "store.lake_forbidden" if isinstance(error, SourceForbidden) else "store.lake"
            raise StoreError(
                f"the lake in {self.uri}: {error.message}",
                code=code,
                hint="check FRAMEHOUSE_LAKE__URL and this host's credentials",
                lake=self.uri,
            ) from error


def _keep(path: Path, content: bytes) -> None:
    """Whole or absent for who reads it now; not flushed, since the bucket has it."""
    with no_room_named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
