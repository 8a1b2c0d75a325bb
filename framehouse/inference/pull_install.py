"""From fetched files to model folders: put together beside their place, checked, then renamed."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import ConfigError
from framehouse.inference.cards import CARD_NAME, read_card, read_labels
from framehouse.inference.exports.add import add_model
from framehouse.inference.exports.folder import Words
from framehouse.inference.model_config import find_folders
from framehouse.inference.origins import Origin, now, read_origin, version_files, write_origin
from framehouse.inference.profiles import write_profiles
from framehouse.inference.pull_manifest import Answers, Entry
from framehouse.inference.repository import check, load_specs
from framehouse.results.files import flush_folder, make_folder, write_whole


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry as it lies in a repository."""

    name: str
    folders: tuple[str, ...]
    """Triton model names, steps first."""
    model_ids: tuple[str, ...]
    """`slug/version` of what can be asked for."""


def find_installed(entry: Entry, roots: Sequence[Path]) -> Installed | None:
    """The entry, whole; None when it is not here, or only in part.

    Raises:
        ConfigError: code `models.exists`: it is here as an older release's manifest had it.
    """
    mine = {
        name: origin
        for name, folder in find_folders(roots).items()
        if (origin := read_origin(folder, roots[0])).name == entry.name
    }
    cards = {name for name in mine if (roots[-1] / name / CARD_NAME).is_file()}
    if not cards or not set(_tree_folders(entry)) <= set(mine):
        return None
    model_ids = [model_id for name in sorted(cards) for model_id in _offered(roots[-1], name)]
    if any(origin.entry != entry.digest() for origin in mine.values()):
        raise ConfigError(
            f"{entry.name} is here as an older release had it",
            code="models.exists",
            hint=f"to replace it: framehouse models remove {model_ids[0]}, then pull again",
        )
    return Installed(entry.name, tuple(sorted(mine, key=lambda name: (name in cards, name))), tuple(model_ids))


def is_here(entry: Entry, roots: Sequence[Path]) -> bool:
    """Whether the entry is installed, also as an older release had it."""
    try:
        return find_installed(entry, roots) is not None
    except ConfigError:
        return True


def install(entry: Entry, files: Sequence[Path], stage: Path, roots: Sequence[Path]) -> None:
    """Put an entry together in `stage`, check it, and rename its folders into the last repository.

    Args:
        entry: what to install.
        files: the verified files, in the entry's order.
        stage: a folder on the repository's file system, emptied first; not below a name that is a model.
        roots: model repositories, the shipped one first.

    Raises:
        ConfigError: `models.exists`, a folder or a `slug/version` is taken; `models.unfit`, what was put together does
            not fit; or what a converter or `models add` says.
    """
    shutil.rmtree(stage, ignore_errors=True)
    if entry.add is None:
        shutil.copytree(entry.tree, stage, ignore=shutil.ignore_patterns("__pycache__"))
        for file, path in zip(entry.files, files, strict=True):
            _put(path, file.convert, stage / file.target)
    else:
        stage.mkdir(parents=True)
        _add(entry, entry.add, files[0], stage, roots)
    digest, at = entry.digest(), now()
    names = sorted(folder.name for folder in stage.iterdir())
    for name in names:
        write_profiles(stage / name)
        held = version_files(stage / name)
        write_origin(stage / name, Origin("pulled", entry.name, digest, at, entry.notice, held))
        if read_origin(roots[-1] / name, roots[0]).name == entry.name:  # of a pull that was killed while it renamed
            shutil.rmtree(roots[-1] / name)
    _check(entry, stage, roots)
    for name in sorted(names, key=lambda name: (stage / name / CARD_NAME).is_file()):
        (stage / name).rename(roots[-1] / name)
    flush_folder(roots[-1])


def _offered(root: Path, folder: str = "*") -> list[str]:
    """`slug/version` of the cards in a folder, or in all folders, of a repository."""
    cards = [read_card(path) for path in sorted(root.glob(f"{folder}/{CARD_NAME}"))]
    return [f"{card.slug}/{version.version}" for card in cards for version in card.versions]


def _tree_folders(entry: Entry) -> list[str]:
    return [folder.name for folder in entry.tree.iterdir()] if entry.add is None else []


def _put(path: Path, convert: str, target: Path) -> None:
    """A fetched file in its place: the same bytes, or what a function of framehouse.inference.convert makes of them."""
    if convert:
        module, _, function = convert.partition(":")
        write_whole(target, getattr(importlib.import_module(module), function)(path.read_bytes()))
    else:
        make_folder(target.parent)
        target.hardlink_to(path)


def _check(entry: Entry, stage: Path, roots: Sequence[Path]) -> None:
    """Refuse names that are taken, and folders that do not fit each other or the models that are here."""
    staged = find_folders([stage])
    for name, folder in find_folders(roots).items():
        if name in staged:
            raise ConfigError(
                f"{entry.name}: a model folder {name} is here already: {folder}",
                code="models.exists",
                hint="framehouse models list; remove or rename that one first",
            )
    taken = load_specs(roots)
    for model_id in _offered(stage):
        if model_id in taken:
            raise ConfigError(
                f"{entry.name}: {model_id} is here already",
                code="models.exists",
                hint=f"framehouse models remove {model_id}",
            )
    findings = [found for found in check([roots[0], stage, *roots[1:]]) if found.model in staged]
    if findings:
        raise ConfigError(
            f"{entry.name}: not installed, {findings[0].model}: {findings[0].message}",
            code="models.unfit",
            hint="a fault of the manifest or of a converter; please report it",
        )


def _add(entry: Entry, answers: Answers, path: Path, stage: Path, roots: Sequence[Path]) -> None:
    """What `models add` makes of the file, in `stage`."""
    file = entry.files[0]
    named = path.with_name(file.basename)  # messages and cards tell its name
    named.unlink(missing_ok=True)
    named.hardlink_to(path)
    add_model(
        named,
        roots=roots,
        added_dir=stage,
        name=answers.slug,
        version=answers.version,
        family=answers.family,
        labels=_labels(answers, roots[0]),
        size=answers.size,
        values=answers.values,
        colour=answers.colour,
        words=Words(entry.title, file.origin, entry.licence, answers.copyright),
        max_bytes=file.limit_bytes,
    )


def _labels(answers: Answers, shipped: Path) -> tuple[str, ...]:
    if not answers.labels_of:
        return (answers.labels,) if answers.labels else ()
    folder = shipped / answers.labels_of
    return read_labels(folder, read_card(folder / CARD_NAME))
