"""How commands that read begin and print: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.store.query import QueryResult


class Format(StrEnum):
    """Formats of rows; all but `table` are for machines."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def begin() -> Settings:
    """Settings of this process, with warnings logged to stderr (everything with --debug)."""
    from framehouse.config import load_settings
    from framehouse.telemetry import configure_logging

    configure_logging(level="debug" if os.environ.get("FRAMEHOUSE_DEBUG") else "warning")
    return load_settings()


def emit_rows(result: QueryResult, chosen: Format | None, out: Path | None) -> None:
    """Print rows, or write them to a file that is whole or absent.

    Args:
        chosen: None takes the format that the file's name ends in, else a table.

    Raises:
        ConfigError: code `config.output`, Parquet to a terminal.
    """
    kind = chosen or _format_of(out)
    if kind is Format.PARQUET:
        emit_bytes(result.to_parquet(), out, "Parquet")
    elif kind is Format.CSV:
        emit_text(result.to_csv(), out)
    elif kind is Format.JSON:
        emit_text(result.to_json() + "\n", out)
    else:
        emit_text(table_text(result.columns, [_cells(row, result.types) for row in result.rows()]), out)


def emit_json(value: Any, out: Path | None = None, *, long: bool = False) -> None:
    """One JSON document; a long one on a single line."""
    import json

    emit_text(json.dumps(value, indent=None if long else 1, ensure_ascii=False, allow_nan=False) + "\n", out)


def emit_text(text: str, out: Path | None = None) -> None:
    """Text to stdout or to a file that is whole or absent."""
    if out is None:
        sys.stdout.write(text)
    else:
        write_file(out, text.encode("utf-8", "surrogatepass"))


def emit_bytes(content: bytes, out: Path | None, what: str) -> None:
    """Bytes to a file, or to stdout unless that is a terminal."""
    from framehouse.errors import ConfigError

    if out is not None:
        write_file(out, content)
    elif sys.stdout.isatty():
        raise ConfigError(f"{what} does not go to a terminal", code="config.output", hint="add --out FILE")
    else:
        sys.stdout.buffer.write(content)


def write_file(out: Path, content: bytes) -> None:
    """A file that is whole or absent.

    Raises:
        ConfigError: code `config.output`, it cannot be written there.
        StoreError: code `store.disk_full`.
    """
    from framehouse.errors import ConfigError
    from framehouse.results.files import write_whole

    try:
        write_whole(out.expanduser().absolute(), content)
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}", code="config.output", hint="choose another --out") from error


def say(message: str) -> None:
    """One line to stderr."""
    typer.echo(message, err=True)


def table_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns with a header line; numbers to the right, nothing for None, one line a row.

    >>> print(table_text(["name", "n"], [["a", 1], ["bcd", 22]]), end="")
    name   n
    ----  --
    a      1
    bcd   22
    """
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    lines = [[_shown(value) for value in row] for row in [columns, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(_line(line, widths, right) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if flush else cell.ljust(width)
        for cell, width, flush in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip() + "\n"


def _shown(value: Any) -> str:
    """A cell; characters that steer a terminal are shown as a sign, because names come from strangers."""
    if value is None:
        return ""
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return (
        text
        if text.isprintable()
        else "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    )


def _cells(row: Sequence[Any], types: Sequence[str]) -> list[Any]:
    """Values as they are shown: a 32-bit float has 7 digits, not 17."""
    from framehouse.store.query import plain

    return [
        float(f"{value:.7g}") if kind == "FLOAT" and value is not None else plain(value)
        for value, kind in zip(row, types, strict=True)
    ]


def _format_of(out: Path | None) -> Format:
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in {Format.JSON, Format.CSV, Format.PARQUET} else Format.TABLE
