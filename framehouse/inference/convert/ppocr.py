"""PP-OCRv4 as `framehouse models pull ocr` gets it, made into what `ocr_det`, `ocr_cls` and `ocr_rec` serve.

Each function takes a file's bytes and gives a file's bytes, the same for the same input on any machine. The networks
were trained on blue, green, red in -1..1; that is part of the graphs, so they take pictures as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.around import Around, pixels_before
from framehouse.inference.convert.graph import Port

HEIGHT = 48
"""Of a line of text, as the classifier and the reader take it."""
CLASSIFIER_WIDTH = 192

_IMAGE, _NETWORK_INPUT = "image", "x"
_OPSETS = (11, 12)
_ALPHABET = "character"
"""The file's own note of what it can read: a sign a line."""


def det(file: bytes) -> bytes:
    """Where text lies: `image` uint8 [N, H, W, 3] RGB, H and W multiples of 32, to `heat` float32 [N, H, W], 0..1.

    Raises:
        ConfigError: code `models.convert`: not the network that this is written for.
    """
    around = _network(file, "sigmoid_0.tmp_0")
    around.behind("Squeeze", ["sigmoid_0.tmp_0"], "heat", axes=[1])
    return around.model(
        [Port(_IMAGE, "uint8", ("batch", "height", "width", 3))],
        [Port("heat", "float32", ("batch", "height", "width"))],
        {"source": "ch_PP-OCRv4_det"},
    )


def cls(file: bytes) -> bytes:
    """Which way up: `image` uint8 [N, 48, 192, 3] RGB to `upright` float32 [N, 2], for upright and for upside down.

    Raises:
        ConfigError: code `models.convert`: not the network that this is written for.
    """
    gives = "save_infer_model/scale_0.tmp_1"
    around = _network(file, gives)
    around.behind("Identity", [gives], "upright")
    return around.model(
        [Port(_IMAGE, "uint8", ("batch", HEIGHT, CLASSIFIER_WIDTH, 3))],
        [Port("upright", "float32", ("batch", 2))],
        {"source": "ch_ppocr_mobile_v2.0_cls"},
    )


def rec(file: bytes) -> bytes:
    """What it says: `image` uint8 [N, 48, W, 3] RGB to the best sign at each of T = W / 8 places.

    `letters` text [N, T], empty where there is no new sign; `probabilities` float32 [N, T], theirs; `spaces` float32
    [N, T], the probability of a space. Equal signs side by side are one.

    Raises:
        ConfigError: code `models.convert`: not the network that this is written for, or without its signs.
    """
    gives = "softmax_11.tmp_0"
    around = _network(file, gives)
    signs = alphabet(around.facts().get(_ALPHABET, ""))
    places = around.behind("ArgMax", [gives], "letters@place", axis=2, keepdims=0)
    around.behind("Gather", [around.constant("signs", signs), places], "letters", axis=0)
    around.behind("ReduceMax", [gives], "probabilities", axes=[2], keepdims=0)
    around.behind("Gather", [gives, around.constant("space", np.array(signs.size - 1, np.int64))], "spaces", axis=2)
    per_place = ("batch", "places")
    return around.model(
        [Port(_IMAGE, "uint8", ("batch", HEIGHT, "width", 3))],
        [
            Port("letters", "string", per_place),
            *(Port(name, "float32", per_place) for name in ("probabilities", "spaces")),
        ],
        {"signs": str(signs.size), "source": "ch_PP-OCRv4_rec"},
    )


def alphabet(lines: str) -> NDArray[np.object_]:
    """Signs by their number in the network, object [S]: nothing first, then the file's, then a space.

    Raises:
        ConfigError: code `models.convert`: none, or one twice (it could not be told where a sign ends).
    """
    signs = ["", *lines.split("\n"), " "]
    if not lines or len(set(signs)) != len(signs):
        raise ConfigError("the network does not say which signs it reads", code="models.convert")
    return np.array(signs, np.object_)


def _network(file: bytes, gives: str) -> Around:
    around = Around(file, _NETWORK_INPUT, gives)
    if around.opset not in _OPSETS:
        raise ConfigError(f"a graph of opset {around.opset}, expected {_OPSETS}", code="models.convert")
    pixels_before(around, _IMAGE, _NETWORK_INPUT, blue_first=True, scale=2 / 255, shift=-1)
    return around
