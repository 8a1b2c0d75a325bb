"""The picture of docs/guide/export.md: what supervision reads out of the page's own YOLO export.

    python scripts/make_export_picture.py FOLDER

In FOLDER the page's commands have been run. The page's Python is run there, and what it drew is written.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import cv2

ROOT = Path(__file__).resolve().parents[1]
MADE = ("export.jpg",)
_QUALITY = 85


def main(folder: str) -> int:
    """Run the block that draws, and write docs/pictures/export.jpg."""
    page = (ROOT / "docs" / "guide" / "export.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "BoxAnnotator" in block)
    os.chdir(folder)
    drawn: dict[str, Any] = {}
    exec(block, drawn)
    cv2.imwrite(str(ROOT / "docs" / "pictures" / MADE[0]), drawn["picture"], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
