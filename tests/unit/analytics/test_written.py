"""Words and patterns in lines as an OCR reads them."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.analytics import written
from framehouse.analytics.written import Hit, Wordlist, has_pattern, words_of


def test_the_examples_of_the_docstrings_hold() -> None:
    tried = doctest.testmod(written)
    assert (tried.failed, tried.attempted > 2) == (0, True)


@pytest.mark.parametrize(
    ("wanted", "lines", "expected"),
    [
        ("casino", [], []),
        ("casino", [""], []),
        ("casino", ["CASINO royal"], [(0,)]),
        ("casino", ["CAS1N0"], [(0,)]),
        ("casino", ["Cásino!"], [(0,)]),
        ("casino", ["occasinonal"], []),
        ("casino", ["casinos"], []),
        ("casino", ["casi", "no"], []),  # a word does not go on in the next line
        ("casino", ["casi no"], [(0,)]),  # but a reader puts spaces into words
        ("sex", ["Essex", "sextant"], []),
        ("breaking news", ["BREAKINGNEWS: rabbit"], [(0,)]),
        ("breaking news", ["breaking", "news"], [(0, 1)]),
        ("breaking news", ["breaking", "more news"], []),
        ("breaking news", ["breaking bad news"], []),
        ("100", ["I00 l0O"], []),  # plain numbers are read as they are
        ("100", ["100 m"], [(0,)]),
        ("loo", ["100"], []),
        ("赌场", ["新赌场开业"], [(0,)]),
        ("赌场", ["赌 场"], [(0,)]),
        ("strasse", ["Hauptstraße", "STRASSE"], [(1,)]),
        ("straße", ["STRASSE"], [(0,)]),
    ],
)
def test_listed_texts(wanted: str, lines: list[str], expected: list[tuple[int, ...]]) -> None:
    assert [hit.lines for hit in Wordlist((wanted,)).find(lines)] == expected


def test_every_listed_text_is_told_by_its_own_name() -> None:
    found = Wordlist(("bet", "bet now", "Bonus")).find(["BET NOW, b0nus", "bet365"])
    assert found == [Hit("bet", (0,)), Hit("bet now", (0,)), Hit("Bonus", (0,))]


@pytest.mark.parametrize(
    ("pattern", "lines", "expected"),
    [
        ("a", [], []),
        (r"\bbet ?\d+", ["BET365", "alphabet 3", ""], [True, False, False]),
        ("vodka", ["Wodka", "VODKAS"], [False, True]),
    ],
)
def test_patterns(pattern: str, lines: list[str], expected: list[bool]) -> None:
    assert has_pattern(lines, pattern).tolist() == expected


def test_no_pattern_runs_for_ever() -> None:
    """With a backtracking engine this one takes longer than the universe has."""
    assert has_pattern(["a" * 5000 + "!"], "(a+)+$").tolist() == [False]
    for refused in ("(", r"(a)\1", "(?=a)"):
        with pytest.raises(ValueError, match="regular expression"):
            has_pattern(["a"], refused)


@given(st.text(max_size=60), st.text("abc 01é", min_size=1, max_size=12))
def test_what_is_listed_is_found_in_itself(around: str, listed: str) -> None:
    if not words_of(listed):
        return
    assert Wordlist((listed,)).find([f"{around} | {listed} | {around}"])
