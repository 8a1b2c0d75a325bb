"""Which parts of the engine run, as far as this server can tell."""

from __future__ import annotations

from pathlib import Path

from framehouse.config import Settings, read_stack_file


def parts_of(settings: Settings) -> dict[str, str]:
    """State of each part of the local stack by its name: `ready`, `starting`, `restarting` …; empty when none runs.

    Of a stack whose supervisor died without a word nothing is said to be ready: its children died with it.
    """
    facts = read_stack_file(settings)
    if not facts:
        return {}
    is_alive = Path(f"/proc/{facts['pid']}").exists()
    return {
        name: str(part["state"]) if is_alive and Path(f"/proc/{part['pid']}").exists() else "dead"
        for name, part in facts["components"].items()
    }
