"""Texts and pictures that frames are compared with: read from a request, made vectors of once, kept with the job.

In the `inference_params` of a model of pictures and texts (family `clip`)::

    {"prompt": "a red car"}, {"prompt": ["a red car", "a dog"]}      an element is {"similarity": [cosine …], "time"}
    {"prompt": {"car": "a red car", "dog": "a dog"}}                 {"similarity": {"car": cosine, "dog": cosine}, …}
    {"prompt": {"type": "base64", "value": …}, "prompt_type": "image"}       with a picture; lists and names too
    {"labels": ["car", "dog"]}                                       the element of a classifier with these classes

Vectors are made when a job is submitted: what is wrong with a prompt shows at once, and results need no server.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from framehouse.config import Settings, find_endpoints
from framehouse.errors import BadRequest
from framehouse.inference.clip import embed_images, embed_texts, prompts, text_model_of, unknown_words
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import TritonClient, connect
from framehouse.results.elements.base import Prompts
from framehouse.video.pictures import frame_picture, read_still

MOST_TEXTS, MOST_PICTURES = 64, 8
MOST_LETTERS = 1000
MOST_PICTURE_BYTES = 8_000_000
KEPT = "framehouse_prompts"
"""Key of the vectors in a job's `wire`."""
_CODE = "api.prompt"

Wire = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know of each frame: how like these texts, or these picture files, it is."""

    form: Literal["list", "map", "labels"]
    names: tuple[str, ...]
    texts: tuple[str, ...] = ()
    pictures: tuple[bytes, ...] = ()


def asked_of(params: Mapping[str, Any]) -> Asked | None:
    """What the `inference_params` of a model ask for; None for its plain vectors.

    Raises:
        BadRequest: code `api.prompt`, naming what is wrong.
    """
    prompt, labels = params.get("prompt"), params.get("labels")
    if prompt is not None and labels is not None:
        raise BadRequest("prompt and labels are two questions: ask one of them", code=_CODE)
    if labels is not None:
        if not isinstance(labels, list):
            raise BadRequest("labels must be a list of texts", code=_CODE)
        texts = _texts(labels)
        if len(set(texts)) != len(texts):
            raise BadRequest("a label is named twice", code=_CODE)
        return Asked("labels", texts, texts)
    if prompt is None:
        return None
    of = params.get("prompt_type", "text")
    if of not in ("text", "image"):
        raise BadRequest("prompt_type is text or image", code=_CODE)
    is_one = not isinstance(prompt, list | dict) or (of == "image" and _is_picture(prompt))
    named = isinstance(prompt, dict) and not is_one
    values = [prompt] if is_one else list(prompt.values()) if named else list(prompt)
    names = tuple(prompt) if named else tuple(str(i) for i in range(len(values)))
    form: Literal["list", "map"] = "map" if named else "list"
    if of == "image":
        return Asked(form, names, pictures=_pictures(values))
    texts = _texts(values)
    return Asked(form, names if named else texts, texts)


def embed(client: TritonClient, spec: ModelSpec, asked: Asked, settings: Settings) -> tuple[Prompts, tuple[str, ...]]:
    """The vectors of what was asked, and words in it that the model was never trained on.

    Raises:
        ConfigError: `models.no_text_model`, the model does not understand texts.
        MediaError: `media.picture`, a picture cannot be read.
        InferenceError: the server does not answer, or cannot give the model.
    """
    scale, unknown = 1.0, tuple[str, ...]()
    if asked.pictures:
        stills = np.stack([frame_picture(read_still(data), spec.framing) for data in asked.pictures])
        vectors = embed_images(client, spec, stills)
    else:
        model = text_model_of(spec, settings.model_repositories)
        texts = prompts(model, asked.texts) if asked.form == "labels" else asked.texts
        vectors, scale, unknown = (
            embed_texts(client, model, texts),
            model.logit_scale,
            unknown_words(model, asked.texts),
        )
    return Prompts(asked.form, asked.names, tuple(tuple(map(float, vector)) for vector in vectors), scale), unknown


def with_vectors(wire: Wire, settings: Settings) -> tuple[Wire, tuple[str, ...]]:
    """The models of a request with the vectors of their prompts, and what the caller should know of them.

    Raises:
        BadRequest: code `api.prompt`; the model gives no vectors, or see `asked_of`.
        FramehouseError: what `embed` raises.
    """
    asked = [asked_of(entry.get("inference_params") or {}) for entry in wire]
    if not any(asked):
        return wire, ()
    specs = load_specs(settings.model_repositories)
    models = [resolve(specs, entry["framehouse_model"]) for entry in wire]
    for spec, wish in zip(models, asked, strict=True):
        if wish is not None and spec.kind != "embeddings":
            raise BadRequest(f"{spec.model_id} compares no pictures with texts", code=_CODE, hint="the model clip does")
    client, made, notes = server(settings), [], []
    for entry, spec, wish in zip(wire, models, asked, strict=True):
        if wish is None:
            made.append(entry)
            continue
        found, unknown = embed(client, spec, wish, settings)
        made.append(_without_pictures(entry, wish) | {KEPT: _kept(found)})
        notes += [not_trained_on(spec, unknown)] if unknown else []
    return tuple(made), tuple(notes)


def not_trained_on(spec: ModelSpec, words: Sequence[str]) -> str:
    """What to tell who asked a model for words that it does not know."""
    return f"{spec.model_id} was not trained on: {', '.join(words)}; what it says of them means nothing"


def prompts_of(entry: Mapping[str, Any]) -> Prompts | None:
    """What `with_vectors` kept of an entry of a job's `wire`."""
    kept = entry.get(KEPT)
    if kept is None:
        return None
    flat: NDArray[np.float32] = np.frombuffer(base64.b64decode(kept["vectors"]), np.float32)
    vectors = flat.reshape(len(kept["names"]), -1)
    return Prompts(
        kept["form"], tuple(kept["names"]), tuple(tuple(map(float, vector)) for vector in vectors), kept["logit_scale"]
    )


def server(settings: Settings) -> TritonClient:
    """The model server in use; raises EngineUnavailable."""
    url = settings.triton.url or find_endpoints(settings).triton_url
    return connect(TritonTarget(url, False, settings.triton.request_timeout_s, 1))


def _kept(found: Prompts) -> dict[str, Any]:
    vectors = np.array(found.vectors, np.float32).tobytes()
    return {
        "form": found.form, "names": list(found.names), "logit_scale": found.logit_scale,
        "vectors": base64.b64encode(vectors).decode("ascii"),
    }  # fmt: skip


def _without_pictures(entry: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """A job's row keeps vectors of pictures, not the files."""
    if not asked.pictures:
        return entry
    return {**entry, "inference_params": {k: v for k, v in entry["inference_params"].items() if k != "prompt"}}


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not 1 <= len(values) <= MOST_TEXTS:
        raise BadRequest(f"1 to {MOST_TEXTS} texts can be asked at once", code=_CODE)
    for value in values:
        if not isinstance(value, str) or not value.strip() or len(value) > MOST_LETTERS:
            raise BadRequest(f"a prompt is a text of at most {MOST_LETTERS} letters", code=_CODE)
    return tuple(values)


def _is_picture(value: Any) -> bool:
    return isinstance(value, dict) and "type" in value and isinstance(value.get("value"), str)


def _pictures(values: Sequence[Any]) -> tuple[bytes, ...]:
    if not 1 <= len(values) <= MOST_PICTURES:
        raise BadRequest(f"1 to {MOST_PICTURES} pictures can be asked at once", code=_CODE)
    return tuple(_picture(value) for value in values)


def _picture(value: Any) -> bytes:
    if not _is_picture(value) or value["type"] != "base64":
        raise BadRequest('a picture is {"type": "base64", "value": "…"}', code=_CODE,
                         hint="addresses of pictures are not fetched: send the bytes")  # fmt: skip
    try:
        data = base64.b64decode(value["value"].rpartition(",")[2], validate=True)  # a data URL has a head
    except (binascii.Error, ValueError) as error:
        raise BadRequest("the value of a picture is not base64", code=_CODE) from error
    if not 0 < len(data) <= MOST_PICTURE_BYTES:
        raise BadRequest(f"a picture has at most {MOST_PICTURE_BYTES // 1_000_000} MB", code=_CODE)
    return data
