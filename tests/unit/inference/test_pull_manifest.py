from __future__ import annotations

from pathlib import Path

import pytest

from framehouse.errors import ConfigError
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.listing import measured_ms, offered
from framehouse.inference.origins import Origin, now, read_origin, write_origin
from framehouse.inference.pull_manifest import MANIFEST, find_entry, load_entries, read_entry
from manifests import write_entry

ENTRIES = load_entries()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_entry(tmp_path, "https://weights.example/some/tiny.onnx", b"weights")


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "pull.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# ---------------------------------------------------------------- what ships


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_entry_that_ships_is_pinned_and_safe(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.title
    assert entry.licence
    assert offered(entry)
    for file in entry.files:
        assert file.limit_bytes <= 2 * 1024**3
        if file.source == "url":
            assert file.url.startswith("https://")
            assert "/main/" not in file.url, "a branch moves"
            assert "/master/" not in file.url, "a branch moves"
    if "agpl" in entry.licence.lower() or "research" in entry.title.lower():
        assert entry.notice


def test_no_two_entries_offer_the_same_model() -> None:
    models = [model_id for entry in ENTRIES.values() for model_id in offered(entry)]
    assert len(models) >= 8
    assert sorted(models) == sorted(set(models))


def test_entries_without_the_name_of_a_family_have_a_slug_of_their_own() -> None:
    """Pulling one must not change what `detector` or `gaze` alone means; only `clip` is meant to."""
    for name, entry in ENTRIES.items():
        slugs = {model_id.partition("/")[0] for model_id in offered(entry)}
        assert slugs & set(ADAPTERS) <= {name}


def test_every_folder_of_the_manifest_is_an_entry() -> None:
    folders = {path.name for path in MANIFEST.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ENTRIES)


# ---------------------------------------------------------------- what is refused


def test_a_right_one(folder: Path) -> None:
    entry = read_entry(folder)
    assert (entry.name, entry.size_bytes, entry.is_exact) == ("tiny", 7, True)
    assert [file.basename for file in entry.files] == ["tiny.onnx"]
    assert offered(entry) == ["tiny/1"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('target = "tiny_network', 'target = "../tiny_network', "target"),
        ('target = "tiny_network', 'target = "/tiny_network', "target"),
        ('target = "tiny_network/1/', 'target = "tiny_network/../', "target"),
        ("target = ", 'convert = "os:system"\ntarget = ', "convert"),
        ("target = ", 'convert = "framehouse.inference.converter:det"\ntarget = ', "convert"),
        ("target = ", 'convert = "framehouse.inference.convert.graph:__import__"\ntarget = ', "convert"),
        ("some/tiny.onnx", "some/", "plain name"),
        ("some/tiny.onnx", "some/%2e%2e%2ftiny.onnx%2f..", "plain name"),
        ("size_bytes = 7", "", "size_bytes or cap_bytes"),
        ("size_bytes = 7", "size_bytes = 7\ncap_bytes = 8", "size_bytes or cap_bytes"),
        ('sha256 = "', 'sha256 = "x', "sha256"),
        ('name = "tiny"', 'name = "Tiny"', "name"),
        ('name = "tiny"', 'name = "other"', "names it 'other'"),
        ('source = "url"', 'source = "ftp"', "source"),
        ("[[files]]", "[[file]]", "files"),
        ('notice = ""', 'notice = ""\nscript = "x"', "script"),
        ("title =", "title", "pull.toml"),
        ("target = ", "# target = ", "a target for each file"),
        (
            'notice = ""',
            'notice = ""\nadd = { slug = "x", version = 1, family = "yolo" }',
            "one file, without a target",
        ),
    ],
)
def test_a_wrong_one_names_the_field(folder: Path, old: str, new: str, message: str) -> None:
    edit(folder, old, new)
    with pytest.raises(ConfigError, match=r"manifest/tiny/pull\.toml") as refused:
        read_entry(folder)
    assert refused.value.code == "models.manifest"
    assert message in refused.value.message


def test_an_unknown_name_lists_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigError, match="known: tiny") as refused:
        find_entry("../tiny", folder.parent)
    assert refused.value.code == "models.unknown"


def test_the_digest_sees_every_file(folder: Path) -> None:
    before = read_entry(folder).digest()
    assert read_entry(folder).digest() == before
    (folder / "models" / "tiny" / "labels.txt").write_text("box\nthing\n")
    changed = read_entry(folder).digest()
    assert changed != before
    (folder / "models" / "tiny" / "labels.txt").rename(folder / "models" / "tiny" / "labels")
    assert read_entry(folder).digest() not in (before, changed)


# ---------------------------------------------------------------- origins and figures


def test_an_origin_is_what_was_written(tmp_path: Path) -> None:
    shipped, ours = tmp_path / "shipped", tmp_path / "ours"
    for folder in (shipped / "a", ours / "b", ours / "c"):
        folder.mkdir(parents=True)
    origin = Origin("pulled", "tiny", "0" * 64, now(), "accepted", {"1/model.onnx": "1" * 64})
    write_origin(ours / "b", origin)
    assert read_origin(ours / "b", shipped) == origin
    assert read_origin(shipped / "a", shipped).how == "shipped"
    assert read_origin(ours / "c", shipped).how == "added"
    for text in ('{"how": "pulled", "who": "me"}', '{"how": 5}', '{"how": "pulled", "files": []}', "[]", "", "\xff"):
        (ours / "c" / "origin.json").write_text(text, encoding="latin-1")
        assert read_origin(ours / "c", shipped).how == "added"


@pytest.mark.parametrize(
    ("speed", "ms"),
    [
        ({}, None),
        ({"machine": "a", "network_ms": 3, "choice": "b"}, None),
        ({"cpu": [{"batch": 4, "ms": 9}]}, None),
        ({"cpu": [{"batch": 4, "ms": 9}, {"batch": 1, "ms": 11}]}, 11.0),
        ({"cpu": [{"batch": 1, "threads": 2, "ms": 5}, {"batch": 1, "threads": 1, "instances": 2, "ms": 8}]}, 8.0),
        ({"cpu": [{"batch": 1, "instances": 2, "ms": 8}, {"batch": 1, "instances": 1, "ms": 7}]}, 7.0),
    ],
)
def test_the_figure_of_a_card(speed: dict[str, object], ms: float | None) -> None:
    assert measured_ms(speed) == ms
