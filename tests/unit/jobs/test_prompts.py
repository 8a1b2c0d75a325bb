"""What a request may compare its frames with, and what a job keeps of it."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import pytest

from framehouse.errors import BadRequest, MediaError
from framehouse.jobs import prompts
from framehouse.jobs.prompts import KEPT, Asked, asked_of, prompts_of, with_vectors
from framehouse.jobs.wire import wire_request
from framehouse.results.elements.base import Prompts
from framehouse.video import pictures
from framehouse.video.pictures import read_still

PNG = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()
PICTURE = {"type": "base64", "value": base64.b64encode(PNG).decode()}
DATA_URL = {"type": "base64", "value": "data:image/png;base64," + base64.b64encode(PNG).decode()}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, None),
        ({"confidence": 0.5}, None),
        ({"prompt": "a dog"}, Asked("list", ("a dog",), ("a dog",))),
        ({"prompt": ["a dog", "a cat"]}, Asked("list", ("a dog", "a cat"), ("a dog", "a cat"))),
        ({"prompt": {"dog": "a dog"}, "prompt_type": "text"}, Asked("map", ("dog",), ("a dog",))),
        ({"prompt": {"type": "a type", "value": "a value"}}, Asked("map", ("type", "value"), ("a type", "a value"))),
        ({"labels": ["dog", "cat"]}, Asked("labels", ("dog", "cat"), ("dog", "cat"))),
        ({"prompt": PICTURE, "prompt_type": "image"}, Asked("list", ("0",), pictures=(PNG,))),
        ({"prompt": [PICTURE, DATA_URL], "prompt_type": "image"}, Asked("list", ("0", "1"), pictures=(PNG, PNG))),
        ({"prompt": {"me": PICTURE}, "prompt_type": "image"}, Asked("map", ("me",), pictures=(PNG,))),
    ],
)
def test_what_is_asked(params: dict[str, Any], expected: Asked | None) -> None:
    assert asked_of(params) == expected


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"prompt": "a", "labels": ["b"]}, "two questions"),
        ({"prompt": []}, "1 to 64 texts"),
        ({"prompt": {}}, "1 to 64 texts"),
        ({"prompt": ["a"] * 65}, "1 to 64 texts"),
        ({"prompt": 7}, "is a text"),
        ({"prompt": "  "}, "is a text"),
        ({"prompt": "a" * 1001}, "1000 letters"),
        ({"prompt": [["a"]]}, "is a text"),
        ({"prompt": "a", "prompt_type": "sound"}, "text or image"),
        ({"labels": "a"}, "a list of texts"),
        ({"labels": ["a", "a"]}, "named twice"),
        ({"prompt": "a", "prompt_type": "image"}, "a picture is"),
        ({"prompt": {"type": "url", "value": "http://x"}, "prompt_type": "image"}, "a picture is"),
        ({"prompt": {"type": "base64", "value": "%%%"}, "prompt_type": "image"}, "not base64"),
        ({"prompt": {"type": "base64", "value": ""}, "prompt_type": "image"}, "at most"),
        ({"prompt": [PICTURE] * 9, "prompt_type": "image"}, "1 to 8 pictures"),
    ],
)
def test_what_is_wrong_with_it_is_said(params: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why) as refused:
        asked_of(params)
    assert refused.value.code == "api.prompt"


def test_a_request_without_prompts_asks_no_server(settings: Any) -> None:
    wire = ({"model_id": "clip", "framehouse_model": "clip/1"},)
    assert with_vectors(wire, settings) == (wire, ())


def test_a_model_that_gives_no_vectors_is_named_before_a_server_is_asked(settings: Any) -> None:
    entry = {"model_id": "detector", "framehouse_model": "detector/1", "inference_params": {"prompt": "a dog"}}
    with pytest.raises(BadRequest, match="detector/1 compares no pictures"):
        with_vectors((entry,), settings)


def test_a_job_keeps_vectors_and_no_pictures(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Prompts("map", ("me",), ((0.25, -1.5),), 2.0)
    monkeypatch.setattr(prompts, "server", lambda _: None)
    monkeypatch.setattr(prompts, "embed", lambda *_: (found, ("zebra",)))
    params = {"prompt": {"me": PICTURE}, "prompt_type": "image", "confidence": 0.4}
    entry = {"model_id": "clip", "framehouse_model": "clip/1", "inference_params": params}
    (kept,), notes = with_vectors((entry,), settings)
    assert "prompt" not in kept["inference_params"]
    assert kept["inference_params"]["confidence"] == 0.4
    assert prompts_of(kept) == found
    assert notes == ("clip/1 was not trained on: zebra; what it says of them means nothing",)
    assert prompts_of({"model_id": "clip"}) is None


def test_a_caller_cannot_send_vectors_of_its_own() -> None:
    from framehouse.config import ROOT
    from framehouse.inference.repository import load_specs

    sent = [{"model_id": "clip", KEPT: {"form": "list"}, "framehouse_model": "detector/1"}]
    specs = load_specs([ROOT / "triton_models"])
    _, (entry,) = wire_request("http://x/a.mp4", 1, sent, specs, confidence=0.4, allow_private=False)
    assert entry == {"model_id": "clip", "framehouse_model": "clip/1"}


@pytest.mark.parametrize("data", [b"", b"no picture", PNG[:30]])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError) as refused:
        read_still(data)
    assert refused.value.code == "media.picture"


def test_a_picture_may_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_still(PNG).shape == (4, 6, 3)
    monkeypatch.setattr(pictures, "MOST_STILL_PIXELS", 23)
    with pytest.raises(MediaError, match="6 x 4 is too large"):
        read_still(PNG)
