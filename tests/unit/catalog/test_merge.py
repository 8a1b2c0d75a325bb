from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.catalog.merge import Seen, is_same_version, merge
from framehouse.errors import SourceError
from framehouse.state.catalog_entries import Entry
from framehouse.storage.base import VideoRef

NAMES = st.text(alphabet="ab/ é\U0001f600.", min_size=1, max_size=6)
VERSIONS = st.tuples(st.sampled_from([None, "e1", "e2"]), st.integers(1, 2), st.sampled_from([None, "t1", "t2"]))


def seen_of(name: str, version: tuple[str | None, int, str | None]) -> Seen:
    etag, size, time = version
    return Seen(name, name, VideoRef(f"{name}?signed", size, time, etag))


def entry_of(name: str, version: tuple[str | None, int, str | None], is_gone: bool) -> Entry:
    etag, size, time = version
    return Entry(name, name, etag, size, time, gone_at=1.0 if is_gone else None)


def same(a: tuple[str | None, int, str | None], b: tuple[str | None, int, str | None]) -> bool:
    return a[1] == b[1] and (a[0] == b[0] if a[0] and b[0] else a[2] == b[2])


@given(st.dictionaries(NAMES, VERSIONS), st.dictionaries(NAMES, st.tuples(VERSIONS, st.booleans())))
def test_any_two_listings_give_exactly_what_differs(
    here: dict[str, tuple[str | None, int, str | None]],
    before: dict[str, tuple[tuple[str | None, int, str | None], bool]],
) -> None:
    listing = [seen_of(name, here[name]) for name in sorted(here)]
    stored = [entry_of(name, *before[name]) for name in sorted(before)]
    found = {(c.seen.uri if c.seen else c.entry.uri if c.entry else ""): c.kind for c in merge(listing, stored)}
    expected = {}
    for name in here.keys() | before.keys():
        if name not in before:
            expected[name] = "new"
        elif name not in here:
            if not before[name][1]:
                expected[name] = "missing"
        elif not same(here[name], before[name][0]):
            expected[name] = "changed"
        else:
            expected[name] = "returned" if before[name][1] else "same"
    assert found == expected


def test_nothing_beside_nothing() -> None:
    assert list(merge([], [])) == []


def test_a_name_that_comes_twice_counts_once() -> None:
    twice = [seen_of("a", (None, 1, "t1")), seen_of("a", (None, 2, "t1")), seen_of("b", (None, 1, "t1"))]
    assert [(c.kind, c.seen and c.seen.uri) for c in merge(twice, [])] == [("new", "a"), ("new", "b")]


def test_a_listing_out_of_order_is_refused_before_anything_is_called_missing() -> None:
    listing = [seen_of(name, (None, 1, "t1")) for name in ("b", "a")]
    stored = [entry_of(name, (None, 1, "t1"), False) for name in ("a", "b")]
    with pytest.raises(SourceError) as caught:
        list(merge(listing, stored))
    assert caught.value.code == "source.unordered"


@given(st.lists(NAMES))
def test_python_and_utf8_sort_alike(names: list[str]) -> None:
    assert sorted(names) == [name.decode() for name in sorted(name.encode() for name in names)]


@pytest.mark.parametrize(
    ("entry", "ref", "expected"),
    [
        (("e", 1, "t1"), ("e", 1, "t2"), True),  # stored again, the same bytes
        (("e", 1, "t1"), ("f", 1, "t1"), False),
        (("e", 1, "t1"), ("e", 2, "t1"), False),
        ((None, 1, "t1"), (None, 1, "t1"), True),
        ((None, 1, "t1"), (None, 1, "t2"), False),
        (("e", 1, "t1"), (None, 1, "t1"), True),  # a server that sometimes gives no tag
        ((None, 1, None), (None, 1, None), True),
    ],
)
def test_what_is_the_same_version(
    entry: tuple[str | None, int, str | None], ref: tuple[str | None, int, str | None], expected: bool
) -> None:
    assert is_same_version(entry_of("a", entry, False), seen_of("a", ref).ref) is expected
