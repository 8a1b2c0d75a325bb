"""The text form of places and names: readable, and the same object again when it is read back.

Percent-encoded are only `%`, `?`, `#`, control characters and bytes that are not UTF-8: letters of any script, spaces
and `+` stay as they are.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from framehouse.errors import ConfigError

CLOUD_SCHEMES = ("s3", "gs", "az")
"""Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage."""

_PLAIN = re.compile(r"[^%?#\x00-\x1f\x7f\udc80-\udcff]*").fullmatch
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class ObjectUri:
    """A name in a cloud store.

    Attributes:
        store: `s3://bucket`, `gs://bucket` or `az://account/container`: no slash at the end.
        key: the object's own name, decoded; empty for the whole store.
    """

    store: str
    key: str

    @property
    def uri(self) -> str:
        """The whole, readable; `object_uri` reads it back."""
        return f"{self.store}/{quoted(self.key)}" if self.key else self.store


def scheme_of(uri: str) -> str:
    """Lower-case scheme of a URI; `file` for a plain path.

    >>> scheme_of("S3://bucket/key"), scheme_of("/videos/a.mp4")
    ('s3', 'file')
    """
    match = _SCHEME.match(uri)
    return match[1].lower() if match else "file"


def object_uri(uri: str) -> ObjectUri:
    """Store and key that an `s3://`, `gs://` or `az://` URI names.

    A `?` or `#` that is not encoded belongs to the key; a `%` that begins no encoding stands for itself.

    >>> object_uri("az://account/videos/Straße 1%23a.mp4").key
    'Straße 1#a.mp4'

    Raises:
        ConfigError: code `config.source_uri`, no bucket, account or container is named.
    """
    scheme = scheme_of(uri)
    parts = uri.partition("://")[2].split("/", 2 if scheme == "az" else 1)
    n_names = 2 if scheme == "az" else 1
    names, rest = parts[:n_names], parts[n_names:]
    if len(names) < n_names or not all(names):
        shape = "az://account/container/key" if scheme == "az" else f"{scheme}://bucket/key"
        raise ConfigError(f"{uri}: names no place", code="config.source_uri", hint=f"write {shape}")
    return ObjectUri(f"{scheme}://{'/'.join(names)}", unquoted(rest[0]) if rest else "")


def quoted(text: str) -> str:
    """A path or key as it stands in a URI."""
    return text if _PLAIN(text) else "".join(_quoted(char) for char in text)


def unquoted(text: str) -> str:
    """The path or key that `quoted` wrote down."""
    return os.fsdecode(unquote_to_bytes(text))


def _quoted(char: str) -> str:
    if char in "%?#" or ord(char) < 32 or ord(char) == 127 or "\udc80" <= char <= "\udcff":
        return "".join(f"%{byte:02X}" for byte in os.fsencode(char))
    return char
