"""Write configs/<profile>.pbtxt of every model of triton_models/: `python scripts/triton_profiles.py`.

Run it after a change of a config.pbtxt; `framehouse models check` and the tests say when it is due.
"""

from __future__ import annotations

from pathlib import Path

from framehouse.config import ROOT
from framehouse.inference.model_config import CONFIG_NAME, CONFIGS_DIR
from framehouse.inference.profiles import PROFILES, profile_text


def wanted(repository: Path) -> dict[Path, str]:
    """Path to content of every file that belongs there."""
    made = {
        config.parent / CONFIGS_DIR / f"{profile}.pbtxt": profile_text(config.read_text(), profile)
        for config in sorted(repository.glob(f"*/{CONFIG_NAME}"))
        if config.parent.name != "selftest"
        for profile in PROFILES
    }
    return {path: text for path, text in made.items() if text}


def main() -> None:
    """Write what is missing or other."""
    repository = ROOT / "triton_models"
    for path, text in wanted(repository).items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(path.relative_to(repository))


if __name__ == "__main__":
    main()
