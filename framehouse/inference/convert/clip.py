"""The parts of CLIP ViT-B/32 that `framehouse models pull clip` gets, as `clip.v2` and `clip_text.v2` serve them.

Each function takes a file's bytes and gives a file's bytes, the same for the same input on any machine.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import element_type, import_onnx

SIDE = 224
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue over CLIP's training pictures (published with its code)."""

START, END = "<|startoftext|>", "<|endoftext|>"
_N_MERGES = 49152 - 256 - 2
_PIECES = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""Pieces of a text that never join: contractions, runs of letters, single digits, runs of other signs."""


def vision(file: bytes) -> bytes:
    """The image tower with everything between a picture and its network in the graph.

    In: `pixel_values` float32 [N, 3, 224, 224] to `image_embeds` [N, 512]. Out: `image` uint8 [N, 224, 224, 3] RGB to
    `embedding` float32 [N, 512]. Each value is looked up in `pixel_table`, so that the network gets the numbers of the
    reference to the last bit.

    Raises:
        ConfigError: code `models.convert`: not ONNX, or a graph with other tensors.
    """
    model = _read(file, "pixel_values", "image_embeds")
    helper, numpy_helper = import_onnx("onnx.helper"), import_onnx("onnx.numpy_helper")
    steps = [
        helper.make_node("Cast", ["image"], ["framehouse/values"], to=element_type("int32")),
        helper.make_node("Add", ["framehouse/values", "framehouse/first_of_channel"], ["framehouse/places"]),
        helper.make_node("Gather", ["framehouse/table", "framehouse/places"], ["framehouse/pixels"], axis=0),
        helper.make_node("Transpose", ["framehouse/pixels"], ["pixel_values"], perm=[0, 3, 1, 2]),
    ]
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.arange(3, dtype=np.int32) * 256, "framehouse/first_of_channel"),
            numpy_helper.from_array(pixel_table().reshape(-1), "framehouse/table"),
        ]
    )
    return _served(model, helper.make_tensor_value_info("image", element_type("uint8"), ["n", SIDE, SIDE, 3]), steps)


def text(file: bytes) -> bytes:
    """The text tower by our names: `tokens` int64 [N, L] to `embedding` float32 [N, 512].

    In: `input_ids`, `text_embeds`.

    Raises:
        ConfigError: code `models.convert`: not ONNX, or a graph with other tensors.
    """
    model = _read(file, "input_ids", "text_embeds")
    helper = import_onnx("onnx.helper")
    rename = helper.make_node("Identity", ["tokens"], ["input_ids"])
    return _served(model, helper.make_tensor_value_info("tokens", element_type("int64"), ["n", "length"]), [rename])


def tokenizer(file: bytes) -> bytes:
    """`tokenizer.json` from OpenAI's vocabulary `bpe_simple_vocab_16e6.txt.gz`: 49408 tokens, byte-level BPE.

    Raises:
        ConfigError: code `models.convert`: not that vocabulary.
    """
    try:
        lines = gzip.decompress(file).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a packed vocabulary: {error}", code="models.convert") from error
    merges = lines[1 : _N_MERGES + 1]
    if len(merges) != _N_MERGES or any(len(merge.split(" ")) != 2 for merge in merges):
        raise ConfigError(f"a vocabulary of {len(merges)} merges, expected {_N_MERGES}", code="models.convert")
    signs = _byte_signs()
    tokens = [*signs, *(f"{sign}</w>" for sign in signs), *("".join(merge.split()) for merge in merges), START, END]
    ids = {token: i for i, token in enumerate(tokens)}
    return json.dumps(_tokenizer_json(ids, merges), ensure_ascii=False, separators=(",", ":")).encode()


def pixel_table() -> NDArray[np.float32]:
    """What the network gets for each value of a channel, float32 [3, 256]: float32 throughout, as the reference."""
    shares = np.arange(256, dtype=np.float32) / np.float32(255)
    return (shares - np.array(MEAN, np.float32)[:, None]) / np.array(STD, np.float32)[:, None]


def _read(file: bytes, takes: str, gives: str) -> Any:
    """A model that takes one tensor and gives one, among others perhaps, which then go."""
    onnx = import_onnx()
    message: type[Exception] = import_onnx("google.protobuf.message").DecodeError
    try:
        model = onnx.load_from_string(file)
    except message as error:
        raise ConfigError(f"not an ONNX file: {error}", code="models.convert") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [port.name for port in model.graph.input if port.name not in constants]
    outputs = [port.name for port in model.graph.output]
    if inputs != [takes] or gives not in outputs:
        raise ConfigError(f"a graph from {inputs} to {outputs}, expected {takes} to {gives}", code="models.convert")
    port = model.graph.output[outputs.index(gives)]
    model.graph.output[0].CopyFrom(port)
    del model.graph.output[1:]
    return model


def _served(model: Any, port: Any, first: Sequence[Any]) -> bytes:
    """The model fed by `first` from the port `port`, with its output called `embedding`."""
    onnx, helper = import_onnx(), import_onnx("onnx.helper")
    graph, output = model.graph, model.graph.output[0]
    last = helper.make_node("Identity", [output.name], ["embedding"])
    nodes = [*first, *graph.node, last]
    dims = [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(port)
    output.CopyFrom(helper.make_tensor_value_info("embedding", element_type("float32"), ["n", dims[-1]]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _byte_signs() -> list[str]:
    """A printable sign for each of the 256 bytes, in the vocabulary's order: those that are printable come first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def _tokenizer_json(ids: dict[str, int], merges: Sequence[str]) -> dict[str, Any]:
    """The format of the package `tokenizers`."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[token], "content": token, **flags} for token in (START, END)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _PIECES}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": _around(ids),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": ids,
            "merges": list(merges),
        },
    }


def _around(ids: dict[str, int]) -> dict[str, Any]:
    """A post-processor that puts the start and the end token around a text."""
    single = [{"SpecialToken": {"id": START, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": END, "type_id": 0}}]  # fmt: skip
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (START, END)},
    }
