"""`framehouse keys create | list | revoke`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.state.keys import ApiKey, Keys

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    name: str = typer.Argument(..., help="for people: whose it is, or what for"),
    scope: list[str] = typer.Option(["submit", "read"], "--scope", help="submit, read, admin; may be repeated"),
    workspace: str = typer.Option("default", help="what the official client is told its workspace is"),
    max_waiting_jobs: int = typer.Option(10_000, min=1, help="unfinished jobs at once"),
    max_upload_bytes: int = typer.Option(200 * 1024**3, min=1, help="largest upload"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Make a key and show it, this once: only its digest is stored.

    From the first key on, the server lets nobody in without one. SQL and search see the rows of all jobs, so they need
    the scope admin.

    Example: framehouse keys create "camera team" --scope submit --scope read
    """
    from framehouse.cli.output import emit_json, emit_text, say

    text, key = _keys().create(
        name, scope, workspace=workspace, max_waiting_jobs=max_waiting_jobs, max_upload_bytes=max_upload_bytes
    )
    if as_json:
        emit_json({"key": text, **_facts(key)})
        return
    emit_text(f"{text}\n")
    say(f"{key.key_id}, scopes {', '.join(key.scopes)}, workspace {key.workspace}; it is not shown again")


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="machine-readable")) -> None:
    """List the keys, without their text.

    Example: framehouse keys list
    """
    from framehouse.cli.output import emit_json, emit_text, table_text

    keys = [_facts(key) for key in _keys().list()]
    if as_json:
        emit_json(keys)
        return
    columns = ["key_id", "name", "scopes", "workspace", "created_at", "last_used_at", "revoked_at"]
    emit_text(table_text(columns, [[_cell(key[column]) for column in columns] for key in keys]))


@app.command()
def revoke(key_id: str = typer.Argument(..., metavar="KEY_ID", help="as `keys list` shows it")) -> None:
    """End a key at once. Its jobs go on and their results stay.

    Example: framehouse keys revoke k_0123456789abcdef
    """
    from framehouse.cli.output import say

    say(f"{_keys().revoke(key_id).key_id} is revoked")


def _keys() -> Keys:
    from framehouse.cli.output import begin
    from framehouse.jobs.submit import connect
    from framehouse.state.keys import Keys

    return Keys(connect(begin()).engine)


def _facts(key: ApiKey) -> dict[str, Any]:
    times = {name: _iso(getattr(key, name)) for name in ("created_at", "last_used_at", "revoked_at")}
    same = ("key_id", "name", "workspace", "max_waiting_jobs", "max_upload_bytes")
    return {**{name: getattr(key, name) for name in same}, "scopes": list(key.scopes), **times}


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value or "-"
