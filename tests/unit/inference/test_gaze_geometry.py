"""The gaze model's arithmetic on heads, eyes and pictures that are known exactly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "triton_models" / "gaze" / "1"
TEMPLATE = ROOT / "framehouse" / "inference" / "exports" / "templates" / "gaze_learned"
MODULES = ("crops", "geometry", "steps")


@pytest.fixture(scope="module")
def model() -> Iterator[SimpleNamespace]:
    """The modules beside model.py, loaded as the server does it: by their own names, from their own folder."""
    server, before = "triton_python_backend_utils", dict(sys.modules)
    sys.modules.setdefault(server, ModuleType(server))
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(FOLDER))
        for name in {*MODULES, server} - set(before):
            del sys.modules[name]


def test_both_gaze_models_share_their_pieces() -> None:
    """The wheel has no triton_models, so the template for learned networks carries copies."""
    for name in ("crops.py", "steps.py"):
        assert (TEMPLATE / name).read_text() == (FOLDER / name).read_text()


# ---------------------------------------------------------------- heads


def turned(yaw: float, pitch: float, roll: float = 0.0) -> Array:
    """A head that looks along (yaw, pitch) in the wire's signs, after it was rolled about its own axis."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (-yaw, pitch, roll) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def along(yaw: float, pitch: float) -> Array:
    """The unit vector whose picture is the arrow (-sin yaw cos pitch, -sin pitch)."""
    return np.array([-np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)])


def a_mesh(model: SimpleNamespace, rotation: Array, scale: float = 7.0, at: tuple[float, float] = (120, 90)) -> Array:
    """[468, 3] of a canonical head that is turned; all other points are zero."""
    mesh = np.zeros((468, 3))
    mesh[model.geometry.HEAD_POINTS] = model.geometry.HEAD_MODEL @ rotation.T * scale + (*at, -30)
    return mesh


def test_the_model_of_a_head_is_the_same_on_both_sides(model: SimpleNamespace) -> None:
    place = dict(zip(model.geometry.HEAD_POINTS, model.geometry.HEAD_MODEL, strict=True))
    for right, left in ((33, 263), (133, 362), (61, 291), (1, 1), (168, 168), (199, 199)):
        np.testing.assert_array_equal(place[left] * (-1, 1, 1), place[right])
    assert place[33][0] < place[133][0] < 0  # the person's right is the picture's left
    assert place[168][1] < place[1][1] < place[61][1] < place[199][1]  # y down
    assert place[1][2] < place[33][2]  # the nose is nearest to the camera


ANGLES = [(y, p, r) for y in (-1.2, -0.3, 0.0, 0.8) for p in (-0.9, 0.0, 0.4) for r in (-2.5, 0.0, 0.5)]


@pytest.mark.parametrize(("yaw", "pitch", "roll"), ANGLES)
def test_a_turned_head_is_found_exactly(model: SimpleNamespace, yaw: float, pitch: float, roll: float) -> None:
    rotation = turned(yaw, pitch, roll)
    np.testing.assert_allclose(rotation @ [0, 0, -1], along(yaw, pitch), atol=1e-12)
    points = a_mesh(model, rotation)[model.geometry.HEAD_POINTS]
    found = model.geometry.head_rotations(points[None])
    np.testing.assert_allclose(found[0], rotation, atol=1e-6)
    np.testing.assert_allclose(model.geometry.angles(found @ [0, 0, -1]), [[yaw, pitch]], atol=1e-6)


def test_scale_and_place_are_of_no_consequence(model: SimpleNamespace) -> None:
    points = [
        a_mesh(model, turned(0.5, -0.2, 0.1), scale, at)[model.geometry.HEAD_POINTS]
        for scale, at in ((0.01, (0, 0)), (1.0, (-500, 3)), (300.0, (4000, 2000)))
    ]
    found = model.geometry.head_rotations(np.stack(points))
    np.testing.assert_allclose(found, np.broadcast_to(turned(0.5, -0.2, 0.1), (3, 3, 3)), atol=1e-6)


def test_noise_moves_a_head_a_little(model: SimpleNamespace) -> None:
    points = a_mesh(model, turned(0.3, 0.1))[model.geometry.HEAD_POINTS]
    noisy = points + np.random.default_rng(0).normal(0, 0.5, (200, *points.shape))
    found = model.geometry.angles(model.geometry.head_rotations(noisy) @ [0, 0, -1])
    assert np.abs(np.degrees(found - [0.3, 0.1])).mean() < 1
    assert np.abs(np.degrees(found - [0.3, 0.1])).max() < 5


def test_a_fit_is_never_a_mirror(model: SimpleNamespace) -> None:
    points = a_mesh(model, turned(0.4, 0.2))[model.geometry.HEAD_POINTS]
    inside_out = points * (1, 1, -1)
    assert np.linalg.det(model.geometry.head_rotations(np.stack([points, inside_out]))) == pytest.approx(1)


def test_a_head_that_is_none_has_no_direction_and_spoils_no_other(model: SimpleNamespace) -> None:
    good = a_mesh(model, turned(0.4, 0.2))[model.geometry.HEAD_POINTS]
    point, line = np.ones((9, 3)), np.outer(np.arange(9.0), [1, 2, 3])
    broken, endless = good.copy(), good.copy()
    broken[3, 1], endless[0] = np.nan, np.inf
    found = model.geometry.head_rotations(np.stack([point, line, broken, endless, good]))
    assert np.isnan(found[:4]).all()
    np.testing.assert_allclose(found[4], turned(0.4, 0.2), atol=1e-6)
    assert model.geometry.head_rotations(np.empty((0, 9, 3))).shape == (0, 3, 3)


# ---------------------------------------------------------------- looks


def irises_of(model: SimpleNamespace, mesh: Array, look: Array, head: Array) -> Array:
    """Where both irises [2, 2] are on eyeballs that touch the middles of their corners when the look is the head's."""
    places = []
    for first, second in (model.geometry.RIGHT_EYE, model.geometry.LEFT_EYE):
        radius = model.geometry.EYEBALL * np.linalg.norm(mesh[second] - mesh[first])
        centre = (mesh[first] + mesh[second]) / 2 - head * radius
        places.append((centre + look * radius)[:2])
    return np.stack(places)


@pytest.mark.parametrize("head", [(0.0, 0.0, 0.0), (0.6, -0.3, 0.4), (-0.9, 0.2, -0.7)])
@pytest.mark.parametrize("look", [(0.0, 0.0), (0.7, 0.1), (-0.5, -0.4), (0.2, 0.6)])
def test_a_look_is_found_exactly_whatever_the_head_does(
    model: SimpleNamespace, head: tuple[float, float, float], look: tuple[float, float]
) -> None:
    mesh = a_mesh(model, turned(*head))
    irises = irises_of(model, mesh, along(*look), along(*head[:2]))
    heads, looks = model.geometry.heads_and_looks(mesh[None], irises[None])
    np.testing.assert_allclose(model.geometry.angles(heads), [head[:2]], atol=1e-6)
    np.testing.assert_allclose(model.geometry.angles(looks), [look], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1)


def test_half_a_radius_is_thirty_degrees(model: SimpleNamespace) -> None:
    mesh = a_mesh(model, turned(0, 0))
    middles = model.geometry.eye_corners(mesh[None])[0, :, :, :2].mean(axis=1)
    half = 0.21 * np.linalg.norm(mesh[133] - mesh[33])
    for step, degrees in (((half, 0), (-30, 0)), ((-half, 0), (30, 0)), ((0, -half), (0, 30)), ((0, half), (0, -30))):
        _, looks = model.geometry.heads_and_looks(mesh[None], (middles + step)[None])
        np.testing.assert_allclose(np.degrees(model.geometry.angles(looks)), [degrees], atol=1e-6)


def test_a_mirrored_face_looks_the_other_way(model: SimpleNamespace) -> None:
    head, look = (0.3, 0.2, 0.25), (0.55, -0.1)
    mesh = a_mesh(model, turned(*head))
    irises = irises_of(model, mesh, along(*look), along(*head[:2]))
    partner = {33: 263, 263: 33, 133: 362, 362: 133, 61: 291, 291: 61}
    swapped = mesh[[partner.get(i, i) for i in range(468)]] * (-1, 1, 1) + (640, 0, 0)
    heads, looks = model.geometry.heads_and_looks(swapped[None], (irises[::-1] * (-1, 1) + (640, 0))[None])
    np.testing.assert_allclose(model.geometry.angles(heads), [(-0.3, 0.2)], atol=1e-6)
    np.testing.assert_allclose(model.geometry.angles(looks), [(-0.55, -0.1)], atol=1e-6)


def test_the_eye_that_is_turned_away_counts_less(model: SimpleNamespace) -> None:
    mesh = a_mesh(model, turned(0.9, 0))  # to the picture's left: the right eye is the far one
    mesh[133] = mesh[33] + (mesh[133] - mesh[33]) * (0.3, 1, 1)
    straight = irises_of(model, mesh, along(0.9, 0), along(0.9, 0))
    moved = [straight + np.array(shift) for shift in ([(0, -3), (0, 0)], [(0, 0), (0, -3)])]
    _, looks = model.geometry.heads_and_looks(np.stack([mesh, mesh]), np.stack(moved))
    far, near = model.geometry.angles(looks)[:, 1]
    assert 0 < far < near / 1.5


def test_no_look_goes_farther_than_can_be_seen(model: SimpleNamespace) -> None:
    mesh = a_mesh(model, turned(0.2, 0))
    irises = irises_of(model, mesh, along(0.2, 0), along(0.2, 0)) + np.array([-500, 0])
    _, looks = model.geometry.heads_and_looks(mesh[None], irises[None])
    np.testing.assert_allclose(np.degrees(model.geometry.angles(looks)), [(np.degrees(np.arcsin(0.95)), 0)], atol=1e-6)


def test_eyes_without_width_have_no_look(model: SimpleNamespace) -> None:
    mesh = a_mesh(model, turned(0.2, 0))
    closed = mesh.copy()
    closed[[33, 133, 362, 263]] = mesh[33]
    _, looks = model.geometry.heads_and_looks(np.stack([closed, np.zeros((468, 3))]), np.zeros((2, 2, 2)))
    assert np.isnan(looks).all()
    heads, looks = model.geometry.heads_and_looks(np.empty((0, 468, 3)), np.empty((0, 2, 2)))
    assert (heads.shape, looks.shape) == ((0, 3), (0, 3))


# ---------------------------------------------------------------- pieces


def noise(height: int, width: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_piece_on_whole_pixels_is_the_picture_itself(model: SimpleNamespace) -> None:
    picture = noise(40, 60)
    transform = np.array([[1.0, 0, 11], [0, 1, 7]])
    np.testing.assert_array_equal(model.crops.cut(picture, transform, 16), picture[7:23, 11:27])


def test_a_square_turned_by_a_right_angle_turns_the_picture(model: SimpleNamespace) -> None:
    picture = noise(32, 32)
    for along_x, along_y, quarters in ((1, 0, 0), (0, -1, -1), (-1, 0, 2), (0, 1, 1)):
        (transform,) = model.crops.squares(
            np.array([[16.0, 16.0]]), np.array([32.0]), np.array([[along_x, along_y]], float), 32
        )
        np.testing.assert_array_equal(model.crops.cut(picture, transform, 32), np.rot90(picture, quarters))


@pytest.mark.parametrize("side", [20.0, 64.0, 150.0, 600.0])
@pytest.mark.parametrize("degrees", [0, 25, -160])
def test_a_point_of_a_piece_is_where_the_picture_has_it(model: SimpleNamespace, side: float, degrees: float) -> None:
    """A soft spot is drawn on the picture; its middle in the piece leads back to where it was drawn."""
    turn = np.radians(degrees)
    direction = np.array([[np.cos(turn), np.sin(turn)]])
    (transform,) = transforms = model.crops.squares(np.array([[310.0, 270.0]]), np.array([side]), direction, 64)
    spot = np.array([310.0, 270.0]) + side * np.array([0.1, -0.13])
    rows, columns = np.mgrid[0:540, 0:620] + 0.5
    blob = np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * (side / 20) ** 2))
    picture = np.repeat((255 * blob).astype(np.uint8)[:, :, None], 3, axis=2)
    piece = model.crops.cut(picture, transform, 64)[:, :, 0].astype(float)
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    middle = np.array([(piece * columns).sum(), (piece * rows).sum()]) / piece.sum()
    found = model.crops.placed(np.append(middle, 2.0)[None, None], transforms)[0, 0]
    np.testing.assert_allclose(found[:2], spot, atol=0.02 * side)
    np.testing.assert_allclose(found[2], 2 * side / 64)


def test_a_large_piece_is_an_average_and_no_sample(model: SimpleNamespace) -> None:
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[::2, ::2] = picture[1::2, 1::2] = 200  # a fine chequer-board: grey from afar
    piece = model.crops.cut(picture, np.array([[8.0, 0, 0.5], [0, 8.0, 0.5]]), 62)  # steps from light to light
    assert (piece == 100).all()


def test_beyond_the_edge_lies_the_edge(model: SimpleNamespace) -> None:
    picture = noise(4, 4)
    piece = model.crops.cut(picture, np.array([[1.0, 0, -20], [0, 1, -20]]), 44)
    assert (piece[:20, :20] == picture[0, 0]).all()
    assert (piece[24:, 24:] == picture[-1, -1]).all()
    tiny = model.crops.cut(noise(1, 1), np.array([[50.0, 0, 0], [0, 50.0, 0]]), 8)
    assert (tiny == noise(1, 1)[0, 0]).all()


@pytest.mark.parametrize("size", [(1280, 720), (144, 176), (1, 1), (1280, 1), (128, 128), (64, 96)])
def test_a_letterbox_leads_back_to_the_picture(model: SimpleNamespace, size: tuple[int, int]) -> None:
    width, height = size
    square, back = model.crops.letterbox(np.full((height, width, 3), 200, np.uint8), 128)
    assert square.shape == (128, 128, 3)
    filled = np.argwhere(square[:, :, 0] == 200)
    low, high = filled.min(axis=0)[::-1], filled.max(axis=0)[::-1] + 1
    assert (square > 0).sum() == 3 * np.prod(high - low)
    corners = model.crops.placed(np.stack([low, high]).astype(float)[None], back[None])[0]
    np.testing.assert_allclose(corners, [(0, 0), (width, height)], atol=1e-9)
    assert max(high - low) == 128


def test_faces_and_eyes_lie_level_in_their_pieces(model: SimpleNamespace) -> None:
    box = np.array([[100.0, 80, 200, 160]])
    marks = np.zeros((1, 6, 2))
    marks[0, :2] = (120, 100), (180, 130)
    transform = model.geometry.face_pieces(box, marks)
    np.testing.assert_allclose(model.crops.placed(np.full((1, 1, 2), 96.0), transform), [[(150, 120)]])
    eyes = (marks[0, :2] - transform[0, :, 2]) @ np.linalg.inv(transform[0, :, :2]).T
    assert eyes[0, 1] == pytest.approx(eyes[1, 1])
    assert eyes[0, 0] < eyes[1, 0]
    assert np.sqrt(np.linalg.det(transform[0, :, :2])) * 192 == pytest.approx(150)
    corners = marks[:, :2]
    transform = model.geometry.eye_pieces(corners)
    placed = (corners[0] - transform[0, :, 2]) @ np.linalg.inv(transform[0, :, :2]).T
    np.testing.assert_allclose(placed, [(32 - 32 / 2.3, 32), (32 + 32 / 2.3, 32)])


# ---------------------------------------------------------------- answers


def test_rows_are_listed_per_picture(model: SimpleNamespace) -> None:
    lists = model.steps.by_picture(
        4, np.array([0, 2, 2, 3]), scores=np.array([0.5, 0.9, 0.8, 0.7]), landmarks=np.arange(8.0).reshape(4, 1, 2)
    )
    np.testing.assert_array_equal(lists["count"], [[1], [0], [2], [1]])
    np.testing.assert_array_equal(lists["scores"], np.array([[0.5, 0], [0, 0], [0.9, 0.8], [0.7, 0]], np.float32))
    assert lists["landmarks"].shape == (4, 2, 1, 2)
    np.testing.assert_array_equal(lists["landmarks"][2], [[(2, 3)], [(4, 5)]])
    assert {array.dtype for name, array in lists.items() if name != "count"} == {np.dtype(np.float32)}
    assert lists["count"].dtype == np.int32


def test_no_rows_at_all_are_one_empty_place(model: SimpleNamespace) -> None:
    lists = model.steps.by_picture(2, np.empty(0, np.intp), boxes=np.empty((0, 4)))
    assert lists["boxes"].shape == (2, 1, 4)
    assert not lists["boxes"].any()
    np.testing.assert_array_equal(lists["count"], [[0], [0]])
