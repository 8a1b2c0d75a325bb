"""Take the pictures of docs/pictures that the example notebooks show, out of their stored outputs.

`python scripts/make_notebook_pictures.py`, after `python tests/notebooks.py` has run them on the sample videos.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image

MADE = ("notebook-boxes.jpg", "notebook-over-time.jpg", "search-moments.jpg")
ROOT = Path(__file__).resolve().parent.parent
FROM = {
    "01-first-questions.ipynb": "notebook-boxes.jpg",
    "02-search.ipynb": "search-moments.jpg",
    "03-over-time.ipynb": "notebook-over-time.jpg",
}


def last_picture(notebook: Path) -> Image.Image:
    """The last picture among the outputs of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    found = [
        output["data"][kind]
        for cell in cells
        for output in cell.get("outputs", ())
        for kind in ("image/png", "image/jpeg")
        if kind in output.get("data", {})
    ]
    return Image.open(io.BytesIO(base64.b64decode(found[-1]))).convert("RGB")


if __name__ == "__main__":
    for name, picture in FROM.items():
        last_picture(ROOT / "examples" / name).save(ROOT / "docs" / "pictures" / picture, quality=88, optimize=True)
