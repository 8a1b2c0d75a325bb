"""Kind of rows -> what makes its elements."""

from __future__ import annotations

from framehouse.results.elements.base import Builder
from framehouse.results.elements.boxes import detections, keypoints, segmentations
from framehouse.results.elements.classes import classifications, multilabels
from framehouse.results.elements.embeddings import embeddings
from framehouse.results.elements.gazes import gazes
from framehouse.results.elements.texts import texts

BUILDERS: dict[str, Builder] = {
    "detections": detections,
    "segmentations": segmentations,
    "keypoints": keypoints,
    "classifications": classifications,
    "multilabels": multilabels,
    "embeddings": embeddings,
    "gazes": gazes,
    "texts": texts,
}
