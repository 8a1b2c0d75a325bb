"""Reading config.pbtxt: protobuf's text format, as far as Triton's model configurations use it."""

from __future__ import annotations

import re
from typing import Any

from framehouse.errors import ConfigError

Message = dict[str, list[Any]]
"""Field name to all its values, in order: str, int, float, bool, an enum's name as `Name`, or a message."""

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<sign>[{}\[\]<>:,;])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CLOSING = {"{": "}", "<": ">"}


class Name(str):
    """A bare word as a value: an enum's name."""

    __slots__ = ()


def parse(text: str) -> Message:
    """A configuration as nested lists and dicts; comments and layout are gone.

    Raises:
        ConfigError: code `models.config`, with the line.

    >>> parse('max_batch_size: 8 input [ { dims: [ 3, 4 ] } ]')
    {'max_batch_size': [8], 'input': [{'dims': [3, 4]}]}
    """
    reader = _Reader(text)
    message = reader.message(end=None)
    return message


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0

    def message(self, end: str | None) -> Message:
        message: Message = {}
        while self._peek() != ("sign", end) and self._peek()[0] != "end":
            kind, name = self._next()
            if kind != "word":
                raise self._error(f"a field name instead of {name!r}")
            message.setdefault(name, []).extend(self._values())
            self._skip(",", ";")
        if end is not None and self._next()[1] != end:
            raise self._error(f"{end!r}")
        return message

    def _values(self) -> list[Any]:
        """The value or values after a field's name: `: value`, `{ … }`, or a list of either."""
        self._skip(":")
        if not self._skip("["):
            return [self._value()]
        values = []
        while not self._skip("]"):
            values.append(self._value())
            self._skip(",")
        return values

    def _value(self) -> Any:
        kind, token = self._next()
        if kind == "sign" and token in _CLOSING:
            return self.message(_CLOSING[token])
        if kind == "number":
            return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)
        if kind == "word":
            return {"true": True, "false": False}.get(token, Name(token))
        if kind == "text":
            return self._text(token)
        raise self._error(f"a value instead of {token!r}")

    def _text(self, first: str) -> str:
        """A string; neighbours are joined, as in C."""
        parts = [first]
        while self._peek()[0] == "text":
            parts.append(self._next()[1])
        return "".join(re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), part[1:-1]) for part in parts)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._place][:2]

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _skip(self, *signs: str) -> bool:
        kind, token = self._peek()
        if kind == "sign" and token in signs:
            self._place += 1
            return True
        return False

    def _error(self, expected: str) -> ConfigError:
        line = self._tokens[max(self._place - 1, 0)][2]
        return ConfigError(f"config.pbtxt line {line}: expected {expected}", code="models.config")


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """(kind, text, line) of each token, ended by one of kind `end`."""
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        line = text.count("\n", 0, place) + 1
        if match is None or match.lastgroup is None:
            raise ConfigError(f"config.pbtxt line {line}: cannot read {text[place]!r}", code="models.config")
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match[0], line))
        place = match.end()
    return [*tokens, ("end", "", text.count("\n") + 1)]
