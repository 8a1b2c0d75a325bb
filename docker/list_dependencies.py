"""Print what pyproject.toml wants, without the project itself: `python docker/list_dependencies.py EXTRA...`.

A layer of the image that holds the dependencies alone stays as it is while only code changes. Imports nothing but the
standard library: it runs before anything is installed.
"""

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """One requirement a line: the project's own and those of the extras."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    if unknown := set(sys.argv[1:]) - set(extras):
        sys.exit(f"no such extra: {', '.join(sorted(unknown))}; known: {', '.join(extras)}")
    lines = [*project["dependencies"], *(line for name in sys.argv[1:] for line in extras[name])]
    print("\n".join(dict.fromkeys(lines)))


if __name__ == "__main__":
    main()
