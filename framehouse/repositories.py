"""Where models lie, and which of their configurations the Triton servers run."""

from __future__ import annotations

from pathlib import Path


class Repositories(tuple[Path, ...]):
    """Model repository folders, the shipped one first, and the name that Triton was given as `--model-config-name`."""

    config_name: str = ""

    @classmethod
    def of(cls, *folders: Path, config_name: str = "") -> Repositories:
        """The folders, with a configuration's name; empty is every model's own config.pbtxt."""
        made = cls(folders)
        made.config_name = config_name
        return made
