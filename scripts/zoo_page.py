"""The tables of docs/guide/models.md, out of cards and manifest; `python scripts/zoo_page.py` writes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from framehouse.inference.listing import ListedModel, list_models, offered, short_licence
from framehouse.inference.pull_manifest import Entry, load_entries

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide" / "models.md"
MARKS = {
    name: (f"<!-- {name}: written by scripts/zoo_page.py -->", f"<!-- end of {name} -->")
    for name in ("shipped", "pulled")
}


def page(text: str) -> str:
    """The page with its tables as they should be."""
    tables = {"shipped": shipped_table(list_models([ROOT / "triton_models"])), "pulled": pulled_table(load_entries())}
    for name, (start, end) in MARKS.items():
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n\n{tables[name]}\n{end}{after}"
    return text


def shipped_table(models: Sequence[ListedModel]) -> str:
    """A line for each model that ships."""
    lines = [
        [
            *(f"`{model.spec.model_id}`", model.card.title, model.spec.kind),
            f"{model.spec.framing.width} × {model.spec.framing.height} {model.card.input.resize}",
            megabytes(sum(weights.size_bytes for weights in model.card.weights)),
            *(model.licence, "" if model.ms_per_frame is None else f"{model.ms_per_frame:g}"),
            model.card.quality.get("summary", ""),
        ]
        for model in models
    ]
    return table(["model", "what", "gives", "input", "size", "licence", "ms", "honestly"], lines)


def pulled_table(entries: dict[str, Entry]) -> str:
    """A line for each entry of the manifest."""
    lines = [
        [
            *(f"`{entry.name}`", ", ".join(f"`{model}`" for model in offered(entry)), entry.title),
            ("" if entry.is_exact else "at most ") + megabytes(entry.size_bytes),
            short_licence(entry.licence) + (", with a notice" if entry.notice else ""),
        ]
        for entry in entries.values()
    ]
    return table(["name", "gives", "what", "download", "licence"], lines)


def megabytes(n_bytes: int) -> str:
    """Bytes for people."""
    return f"{n_bytes / 1e6:.1f} MB"


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
