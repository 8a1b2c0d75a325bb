"""Every model family that can be served, by the `family` of its model card."""

from __future__ import annotations

from framehouse.inference.adapters import detector
from framehouse.inference.adapters.base import Adapter

ADAPTERS: dict[str, Adapter] = {
    "detector": detector,
}
