"""Vectors of words that frames are compared with, kept in the lake so that a use needs no model to be there::

vocabularies/<digest of the image model>-<digest of the words>.npz
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse.results.lake import Lake


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words in the space of one image model.

    Attributes:
        words: W of them; the first `n_asked` were asked for, the others stand for "none of these".
        vectors: float32 [W, D].
        logit_scale: factor from cosines to logits.
        unknown: words that were asked for and that the model was never trained on; they are left out.
    """

    words: tuple[str, ...]
    n_asked: int
    vectors: NDArray[np.float32]
    logit_scale: float
    unknown: tuple[str, ...]


def vocabulary_path(lake: Lake, model_digest: str, words: Sequence[str]) -> Path:
    """File of a list of words."""
    name = hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return lake.root / "vocabularies" / f"{model_digest}-{name}.npz"


def write_vocabulary(lake: Lake, model_digest: str, words: Sequence[str], made: Vocabulary) -> None:
    """Store it. Raises StoreError `store.disk_full`."""
    sink = io.BytesIO()
    np.savez_compressed(
        sink, words=np.array(made.words, np.str_), n_asked=np.int64(made.n_asked), vectors=made.vectors,
        logit_scale=np.float64(made.logit_scale), unknown=np.array(made.unknown, np.str_),
    )  # fmt: skip
    lake.write_bytes(vocabulary_path(lake, model_digest, words), sink.getvalue())


def read_vocabulary(lake: Lake, model_digest: str, words: Sequence[str]) -> Vocabulary | None:
    """What was kept; None where nothing was, or where it is damaged: then it is made again."""
    content = lake.read_bytes(vocabulary_path(lake, model_digest, words))
    if content is None:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            return Vocabulary(
                tuple(map(str, kept["words"].tolist())), int(kept["n_asked"]), kept["vectors"],
                float(kept["logit_scale"]), tuple(map(str, kept["unknown"].tolist())),
            )  # fmt: skip
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None
