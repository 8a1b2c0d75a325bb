"""Numbers and times as people read them; pure functions, filters of the templates."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from urllib.parse import unquote

_FEW = 4
_STEPS = ("B", "kB", "MB", "GB", "TB", "PB")


def clock(seconds: float | None, *, digits: int = 0) -> str:
    """A time in a video.

    >>> clock(0), clock(75.4), clock(3675, digits=1), clock(59.96, digits=1), clock(None)
    ('0:00', '1:15', '1:01:15.0', '1:00.0', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    units = round(max(0.0, seconds) * 10**digits) if digits else math.floor(max(0.0, seconds))
    whole, part = divmod(units, 10**digits)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{part:0{digits}d}" if digits else text


def size(n_bytes: float | None) -> str:
    """Bytes in decimal steps.

    >>> size(0), size(999), size(1500), size(24_690_000), size(None)
    ('0 B', '999 B', '1.5 kB', '24.7 MB', '–')
    """
    if n_bytes is None:
        return "–"
    value, step = float(n_bytes), 0
    while value >= 999.5 and step < len(_STEPS) - 1:
        value, step = value / 1000, step + 1
    return f"{value:.0f} {_STEPS[step]}" if step == 0 or value >= 99.95 else f"{value:.1f} {_STEPS[step]}"


def count(number: float | None) -> str:
    """A whole number with thin spaces between thousands.

    >>> count(1234567), count(12), count(None)
    ('1\u202f234\u202f567', '12', '–')
    """
    return "–" if number is None else f"{number:,.0f}".replace(",", "\u202f")


def lasting(seconds: float | None) -> str:
    """How long something takes.

    >>> lasting(0.31), lasting(42.4), lasting(150), lasting(9000), lasting(200_000)
    ('0.3 s', '42 s', '2.5 min', '2.5 h', '2.3 days')
    """
    if seconds is None:
        return "–"
    for least, unit in ((86_400 * 2, "days"), (3600, "h"), (60, "min")):
        if seconds >= least:
            return f"{seconds / (86_400 if unit == 'days' else least):.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def share(part: float | None) -> str:
    """A share of one as a percentage.

    >>> share(0.5), share(0.004), share(0.9999), share(1), share(None)
    ('50 %', '<1 %', '>99 %', '100 %', '–')
    """
    if part is None:
        return "–"
    if 0 < part < 0.005:
        return "<1 %"
    if 0.995 <= part < 1:
        return ">99 %"
    return f"{part * 100:.0f} %"


def file_name(uri: str | None) -> str:
    """The last part of a place, without what would be a signature.

    >>> file_name("s3://b/a%20b/c%20d.mp4"), file_name("https://h/v.mp4?sig=1"), file_name(None), file_name("/x/")
    ('c d.mp4', 'v.mp4', '', 'x')
    """
    return unquote((uri or "").split("?", maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1])


def moment(value: str | float | datetime | None) -> str:
    """A point in time, ISO 8601 in UTC with seconds, for `<time datetime>`; empty for none."""
    if value is None or value == "":
        return ""
    if isinstance(value, int | float):
        found = datetime.fromtimestamp(value, UTC)
    else:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")


def moment_words(value: str | float | datetime | None) -> str:
    """The same for people without a script.

    >>> moment_words("2026-11-29T02:40:31+00:00"), moment_words(None)
    ('2026-11-29 02:40 UTC', '–')
    """
    text = moment(value)
    return f"{text[:10]} {text[11:16]} UTC" if text else "–"


def said(facts: str | None) -> str:
    """The plain values of a JSON object, a few of them, in words.

    >>> said('{"reason": "calm", "gap_s": 2.5, "box": [1, 2], "by_track": {}}'), said("{}"), said(None)
    ('reason calm, gap s 2.5', '', '')
    """
    found = json.loads(facts) if facts else {}
    plain = [(name, value) for name, value in found.items() if isinstance(value, str | int | float)]
    shown = [
        f"{name.replace('_', ' ')} {f'{value:.4g}' if isinstance(value, float) else value}" for name, value in plain
    ]
    return ", ".join(shown[:_FEW])


FILTERS = {
    "clock": clock, "size": size, "count": count, "lasting": lasting, "share": share, "file_name": file_name,
    "moment": moment, "moment_words": moment_words, "said": said,
}  # fmt: skip
