"""Protobuf's text format, as config.pbtxt uses it."""

from __future__ import annotations

import pytest

from framehouse.errors import ConfigError
from framehouse.inference.pbtxt import Message, Name, parse

READ: list[tuple[str, Message]] = [
    ("", {}),
    ("# nothing\n", {}),
    ('name: "a"', {"name": ["a"]}),
    ("name: 'it\\'s'", {"name": ["it's"]}),
    ('name: "a\\nb" "c" # joined', {"name": ["a\nbc"]}),
    ("n: 1 n: -2", {"n": [1, -2]}),
    ("x: 1.5 y: 1e-3 z: .5", {"x": [1.5], "y": [0.001], "z": [0.5]}),
    ("on: true off: false kind: KIND_CPU", {"on": [True], "off": [False], "kind": ["KIND_CPU"]}),
    ("dims: [ 1, -1 ]", {"dims": [1, -1]}),
    ("dims: []", {"dims": []}),
    ("m { n: 1 } m: { n: 2 }", {"m": [{"n": [1]}, {"n": [2]}]}),
    ("m < n: 1; o: 2, >", {"m": [{"n": [1], "o": [2]}]}),
    ("m [ { n: 1 }, { n: 2 } ]", {"m": [{"n": [1]}, {"n": [2]}]}),
]
BROKEN = [
    ("name", 1),
    ("name: ", 1),
    ("a: 1\n\n  b: {", 3),
    ("a {\n b: 1", 2),
    ("a: 1 }", 1),
    ("a: [ 1, 2", 1),
    ('a: "open\nb: 1', 1),
    ("a: 1\nb: @", 2),
    ("{ }", 1),
    ("a < n: 1 }", 1),
]


@pytest.mark.parametrize(("text", "message"), READ)
def test_read(text: str, message: Message) -> None:
    assert parse(text) == message


def test_a_bare_word_is_not_a_string() -> None:
    message = parse('a: WORD b: "WORD"')
    assert isinstance(message["a"][0], Name)
    assert not isinstance(message["b"][0], Name)


@pytest.mark.parametrize(("text", "line"), BROKEN)
def test_broken_text_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"line {line}:") as refused:
        parse(text)
    assert refused.value.code == "models.config"
