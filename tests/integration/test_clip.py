"""The tiny CLIP on a real server: towers against a direct run, texts against pictures, stills and a decoded video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.config import ROOT
from framehouse.inference.adapters import clip as adapter
from framehouse.inference.clip import TextModel, embed_images, embed_texts, prompts, text_model_of
from framehouse.inference.specs import ModelSpec
from framehouse.inference.tokens import tokenize
from framehouse.inference.triton import TritonClient
from framehouse.results.vectors import compare, zero_shot
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.pictures import frame_picture
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks
from scripts.train_tiny_clip.captions import pair_caption
from scripts.train_tiny_clip.shapes import COLOURS, HELD_OUT, PAIRS, SHAPES, gallery, outlines

pytestmark = pytest.mark.real("triton")

Pictures = NDArray[np.uint8]
Loaded = tuple[TritonClient, ModelSpec]

REPOSITORY = ROOT / "triton_models"
TEXTS = ["a red star", "a big blue ring on a white background at the top left", "", "日本", "a dog " * 30]
SCENES = (("red", "circle"), ("blue", "star"), ("green", "square"))
FRAMES_A_SCENE, WIDTH, HEIGHT = 6, 320, 180


@pytest.fixture(scope="module")
def served(load_served: Callable[[str], Loaded]) -> Loaded:
    return load_served("clip/1")


@pytest.fixture(scope="module")
def text_model(served: Loaded) -> TextModel:
    return text_model_of(served[1], [REPOSITORY])


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """One of each of the 80 pairs."""
    return gallery(np.random.default_rng(77), PAIRS)[1]


def session(model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(REPOSITORY / model / "1" / "model.onnx", options)


# ---------------------------------------------------------------- the towers


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_pictures_have_the_vectors_of_a_direct_run_to_the_last_bit_in_any_batch(
    served: Loaded, pictures: Pictures, batch: int
) -> None:
    client, spec = served
    direct = session("clip").run(["embedding"], {"image": pictures[:24]})[0]
    answers = [
        client.infer(spec.triton_model, adapter.to_inputs(pictures[i : i + batch]))["embedding"]
        for i in range(0, 24, batch)
    ]
    assert np.concatenate(answers).tobytes() == direct.tobytes()
    assert embed_images(client, spec, pictures[:24]).tobytes() == direct.tobytes()


def test_texts_have_the_vectors_of_a_direct_run_to_the_last_bit_whoever_is_beside_them(
    served: Loaded, text_model: TextModel
) -> None:
    texts = TEXTS * 2  # more than one request
    tokens = tokenize(text_model.tokenizer, texts, text_model.length)
    direct = session("clip_text").run(["embedding"], {"tokens": tokens})[0]
    together = embed_texts(served[0], text_model, texts)
    alone = np.concatenate([embed_texts(served[0], text_model, [text]) for text in texts])
    assert together.tobytes() == alone.tobytes() == direct.tobytes()
    assert len({row.tobytes() for row in together}) == len(TEXTS)


def test_nothing_has_no_vectors(served: Loaded, text_model: TextModel) -> None:
    assert embed_texts(served[0], text_model, []).shape == (0, 0)
    assert embed_images(served[0], served[1], np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 0)


def test_vectors_are_not_normalised(served: Loaded, pictures: Pictures) -> None:
    norms = np.linalg.norm(embed_images(*served, pictures[:8]), axis=1)
    assert np.ptp(norms) > 0.01
    assert norms.min() > 1.5


def test_a_picture_is_itself_and_nothing_else(served: Loaded, pictures: Pictures) -> None:
    vectors = embed_images(*served, pictures)
    cosines = compare(vectors, vectors)
    assert np.diag(cosines) == pytest.approx(1, abs=1e-6)
    assert (cosines - np.eye(len(vectors))).max() < 0.9999


# ---------------------------------------------------------------- what it knows


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_caption_finds_its_picture_among_80_that_were_never_seen(
    served: Loaded, text_model: TextModel, seed: int
) -> None:
    _, fresh = gallery(np.random.default_rng(seed), PAIRS)
    texts = prompts(text_model, [pair_caption(*pair, "{}") for pair in PAIRS])
    cosines = compare(embed_texts(served[0], text_model, texts), embed_images(*served, fresh))
    right = cosines.argmax(axis=1) == np.arange(len(PAIRS))
    assert right.mean() >= 0.95
    never_trained = np.array([pair in HELD_OUT for pair in PAIRS])
    assert never_trained.sum() == 11
    assert right[never_trained].mean() >= 0.9


def test_tags_without_training(served: Loaded, text_model: TextModel, pictures: Pictures) -> None:
    """The eight shapes compete for each picture."""
    texts = embed_texts(served[0], text_model, prompts(text_model, list(SHAPES)))
    odds = zero_shot(embed_images(*served, pictures), texts, text_model.logit_scale)
    right = np.array([shape for _, shape in PAIRS])
    assert odds.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (odds.argmax(axis=1) == right).mean() >= 0.9
    assert np.median(odds[np.arange(len(PAIRS)), right]) > 0.8


# ---------------------------------------------------------------- a video


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    """Three scenes of 6 frames, in each a shape that moves, 320 x 180."""
    path = media_dir / "shapes.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=6, options={"crf": "18", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES_A_SCENE * len(SCENES)):
            frame = av.VideoFrame.from_ndarray(frame_of(number), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def frame_of(number: int) -> Pictures:
    """A shape on gray, further to the right from frame to frame."""
    import cv2

    colour, shape = SCENES[number // FRAMES_A_SCENE]
    canvas = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    middle = np.array([70 + 35 * (number % FRAMES_A_SCENE), 90])
    lines = [np.rint(line * 52 + middle).astype(np.int32) for line in outlines(shape)]
    cv2.fillPoly(canvas, lines, COLOURS[colour][0])
    return canvas


@pytest.fixture(scope="module")
def of_video(served: Loaded, video: Path) -> NDArray[np.float32]:
    """The vector of every frame, decoded as a job decodes it."""
    client, spec = served
    index = probe(video)
    found = []
    for chunk in chunks(index):
        wanted = chunk.first_frame + np.arange(chunk.n_frames)
        for batch in decode(video, index.stream, chunk, wanted, [spec.framing], batch_size=spec.max_batch):
            assert isinstance(batch, FrameBatch)
            outputs = client.infer(spec.triton_model, adapter.to_inputs(batch.pictures[spec.framing]))
            rows = adapter.from_outputs(
                outputs, spec=spec, frame_offset=batch.frame_offset, source_size=index.stream.size
            )
            found.append(rows.embedding)
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("texts", "right"),
    [
        (["a red circle", "a blue star"], [0, 1]),
        (["a blue star", "a green square"], [1, 2]),
        (["a circle", "a square"], [0, 2]),  # the shape alone
        (["something red", "something green"], [0, 2]),  # the colour alone
    ],
)
def test_the_nearer_of_two_prompts_on_a_video(
    served: Loaded, text_model: TextModel, of_video: NDArray[np.float32], texts: list[str], right: list[int]
) -> None:
    cosines = compare(of_video, embed_texts(served[0], text_model, texts))
    assert len(cosines) == FRAMES_A_SCENE * len(SCENES)
    for column, scene in enumerate(right):
        frames = slice(scene * FRAMES_A_SCENE, (scene + 1) * FRAMES_A_SCENE)
        assert (cosines[frames].argmax(axis=1) == column).all()


@pytest.mark.parametrize("scene", range(len(SCENES)))
def test_a_query_finds_its_scene(
    served: Loaded, text_model: TextModel, of_video: NDArray[np.float32], scene: int
) -> None:
    colour, shape = SCENES[scene]
    cosines = compare(embed_texts(served[0], text_model, [f"a photo of a {colour} {shape}"]), of_video)[0]
    best = np.sort(np.argsort(-cosines)[:FRAMES_A_SCENE])
    assert best.tolist() == list(range(scene * FRAMES_A_SCENE, (scene + 1) * FRAMES_A_SCENE))


def test_a_still_of_a_frame_finds_that_frame(served: Loaded, of_video: NDArray[np.float32]) -> None:
    client, spec = served
    for number in (2, 9, 16):
        still = frame_picture(frame_of(number), spec.framing)
        cosines = compare(embed_images(client, spec, still[None]), of_video)[0]
        assert cosines.argmax() == number
        assert cosines[number] > 0.95
