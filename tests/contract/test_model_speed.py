"""Every model that ships was measured: 1, 4 and 8 pictures a request, 1 and 2 threads, 1 and 2 instances."""

from __future__ import annotations

import itertools
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from framehouse.inference.cards import ModelCard, load_cards
from framehouse.inference.listing import list_models, measured_ms

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "triton_models"
CARDS = load_cards([SHIPPED])
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "measure_models.py"))


def rows_of(card: ModelCard) -> list[dict[str, Any]]:
    """The table of a card."""
    tables = [value for value in card.speed.values() if isinstance(value, list | tuple)]
    return [dict(row) for table in tables for row in table if "instances" in row]


@pytest.mark.parametrize("folder", sorted(CARDS))
def test_every_way_was_measured_and_one_was_chosen(folder: str) -> None:
    card = CARDS[folder]
    seen = {(row["instances"], row["threads"], row["batch"]) for row in rows_of(card)}
    wanted = {(*way, batch) for way, batch in itertools.product(SCRIPT["WAYS"], SCRIPT["BATCHES"])}
    assert wanted <= seen
    assert card.speed["machine"]
    assert card.speed["choice"]


@pytest.mark.parametrize("folder", sorted(CARDS))
def test_the_choice_is_what_the_configuration_says(folder: str) -> None:
    instances, threads = (int(n) for n in re.findall(r"\d+", str(CARDS[folder].speed["choice"]))[:2])
    text = "".join(path.read_text() for path in SHIPPED.glob(f"{folder}*/config.pbtxt") if "clip_text" not in str(path))
    assert f"count: {instances} " in text
    assert set(re.findall(r'"intra_op_thread_count" value: \{ string_value: "(\d+)"', text)) == {str(threads)}


def test_the_list_has_a_figure_for_each() -> None:
    assert [model.spec.model_id for model in list_models([SHIPPED]) if not model.ms_per_frame] == []


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        ({}, None),
        ({"note": "not measured"}, None),
        ({"trial_ms": 1.5}, 1.5),
        ({"server": [{"batch": 1, "cpu_ms": 19}]}, 19.0),
        ({"a": [{"batch": 8, "ms": 1}], "trial_ms": 7}, 7.0),
        ({"a": [{"batch": 1, "threads": 2, "ms": 5}, {"batch": 1, "threads": 1, "ms": 7.5}]}, 7.5),
    ],
)
def test_the_figure_of_a_card(speed: dict[str, Any], expected: float | None) -> None:
    assert measured_ms(speed) == expected
