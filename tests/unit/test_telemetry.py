from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from framehouse.telemetry import HIDDEN, configure_logging, redact, redact_uri


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str], **fields: Any) -> dict[str, Any]:
    configure_logging(json=True)
    structlog.get_logger("test").info("event", **fields)
    captured = capsys.readouterr()
    assert captured.out == ""
    line: dict[str, Any] = json.loads(captured.err)
    return line


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("", ""),
        ("/videos/a?b.mp4", "/videos/a?b.mp4"),
        ("https://h/v.mp4", "https://h/v.mp4"),
        ("https://h:8443/a b/v.mp4?X-Amz-Signature=s&x=1#f", "https://h:8443/a b/v.mp4"),
        ("https://user:pw@h/v.mp4", "https://h/v.mp4"),
        ("https://user:p@w@h/v.mp4?sig=s", "https://h/v.mp4"),
        ("s3://bucket/key ü.mp4", "s3://bucket/key ü.mp4"),
        ("http://[::1", f"http://{HIDDEN}"),
    ],
)
def test_redact_uri(uri: str, shown: str) -> None:
    assert redact_uri(uri) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GET https://h/v.mp4?X-Goog-Signature=hush failed",
        "api_key=hush",
        "{'api_key': 'hush'}",
        '{"apiKey": "hush"}',
        "x-amz-security-token: hush",
        "AWS_SECRET_ACCESS_KEY=hush",
        "?sv=1&sig=hush&se=2",
        "Authorization: Bearer hush-hush-hush",
        "authorization: Basic aHVzaA== hush",
        "bearer hush.hush.hush",
        "Cookie: session=hush; other=hush",
        "postgresql://me:hush@db/state",
    ],
)
def test_no_secret_passes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hush" not in redact(text)
    assert "hush" not in json.dumps(logged(capsys, note=text))
    assert "hush" not in json.dumps(logged(capsys, note=text.encode()))
    assert "hush" not in json.dumps(logged(capsys, nested=[{"deep": (text,)}]))
    assert "hush" not in json.dumps(logged(capsys, error=ValueError(text)))


@pytest.mark.parametrize("name", ["api_key", "Authorization", "password", "upload_token", "signature", "cookie"])
def test_fields_named_like_secrets_are_hidden_whatever_they_hold(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(capsys, **{name: "hush"})[name] == HIDDEN
    assert logged(capsys, headers={name: 5})["headers"] == {name: HIDDEN}


def test_other_fields_stay_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, n_frames=3, elapsed_s=0.5, ok=True, nothing=None, path=Path("/videos/ü 1.mp4"), tokenizer="t")
    assert (line["n_frames"], line["elapsed_s"], line["ok"], line["nothing"]) == (3, 0.5, True, None)
    assert (line["path"], line["tokenizer"], line["event"], line["level"]) == ("/videos/ü 1.mp4", "t", "event", "info")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_redacted_too(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logging(json=as_json)
    try:
        raise ValueError("https://h/v.mp4?sig=hush")
    except ValueError:
        structlog.get_logger("test").exception("failed")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert "hush" not in text


def test_levels_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="warning", file=tmp_path / "logs" / "a.log")
    log = structlog.get_logger("test")
    log.info("quiet")
    log.warning("loud")
    structlog.get_config()["logger_factory"].close()
    assert [json.loads(line)["event"] for line in (tmp_path / "logs" / "a.log").read_text().splitlines()] == ["loud"]
    assert capsys.readouterr() == ("", "")
