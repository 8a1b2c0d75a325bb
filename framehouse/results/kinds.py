"""Every kind of rows by name."""

from __future__ import annotations

from framehouse.results.contract import FrameRows
from framehouse.results.records.boxes import Detections, Keypoints, Segmentations
from framehouse.results.records.classes import Classifications, Multilabels
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts

KINDS: dict[str, type[FrameRows]] = {
    record.kind: record
    for record in (Detections, Segmentations, Keypoints, Classifications, Multilabels, Embeddings, Gazes, Texts)
}
