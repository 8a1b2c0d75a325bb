"""Policies and proctoring on what the real models say: writing, faces and looks in real and made videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from archives import archive_of, infer_video
from framehouse.analytics import policy, proctor
from framehouse.analytics.policy import UNJUDGED, PolicyParams, lines_of
from framehouse.analytics.policy_file import Rule, read_policy
from framehouse.config import Settings, TritonSettings
from framehouse.errors import SourceUnavailable
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import TritonClient
from framehouse.jobs.rulings import prepared
from pulled import pull_into
from real_parts import ROOT, require

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

PULLED = ("ocr", "moderation")


@pytest.fixture(scope="module")
def served(
    load_served: Callable[[str], tuple[TritonClient, ModelSpec]], added_models: Path
) -> Iterator[tuple[dict[str, ModelSpec], TritonTarget]]:
    try:
        for name in PULLED:
            pull_into(added_models, name)
    except SourceUnavailable as error:
        require("samples", error.line())
    found = {name: load_served(name) for name in (*PULLED, "gaze", "faces")}
    client = found["ocr"][0]
    yield {name: spec for name, (_, spec) in found.items()}, client._target
    for name in PULLED:
        for step in reversed(found[name][1].steps):
            client.unload_model(step)


def titled(video: Path, out: Path) -> Path:
    """Eight pictures of Big Buck Bunny, at 5 a second; the third to the fifth under a casino's banner."""
    with av.open(str(video)) as opened, av.open(str(out), "w") as made:
        stream = made.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "bgr0"
        for i, frame in zip(range(8), opened.decode(video=0), strict=False):
            picture = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[::2, ::2])
            if 2 <= i < 5:
                cv2.rectangle(picture, (0, 290), (640, 360), (20, 20, 90), cv2.FILLED)
                cv2.putText(picture, "GRAND CASINO", (20, 340), cv2.FONT_HERSHEY_DUPLEX, 1.2, (250, 230, 60), 2)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        made.mux(stream.encode(None))
    return out


def test_writing_and_faces_break_a_policy_and_a_clean_clip_does_not(
    served: tuple[dict[str, ModelSpec], TritonTarget], sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    specs, target = served
    clip = titled(sample_videos["bigbuckbunny.mp4"], tmp_path / "titled.mkv")
    asked = [specs["ocr"], specs["moderation"]]
    bunny = infer_video(tmp_path, clip, asked, target)
    man = infer_video(tmp_path, sample_videos["carphone_pristine.mp4"], asked, target, Fraction(1))
    brand = read_policy(ROOT / "examples" / "policies" / "brand-safety.yaml").policy
    nudity = read_policy(ROOT / "examples" / "policies" / "moderation.yaml").policy
    assert brand is not None
    assert nudity is not None
    words = tuple(rule for rule in brand.rules if rule.evidence == "texts")
    face = Rule(name="face", model="moderation", classes=("FACE",), confidence=0.6)
    params = PolicyParams(rules=(*words, *nudity.rules, face))
    with archive_of(tmp_path) as archive:
        first, second = (
            policy.judge(archive, archive.video(video_id), params, policy.USE.ruleset(params))
            for video_id in (bunny, man)
        )
    (banner,) = lines_of(first.events)
    assert (banner.rule, banner.start_s, banner.end_s) == ("gambling", pytest.approx(0.4), pytest.approx(1.0))
    assert banner.facts["reason"].lower().startswith('casino in "grand casino"')
    left, top, right, bottom = banner.facts["boxes"][0]
    assert 0 <= left < right <= 400
    assert 280 <= top < bottom <= 360
    (seen,) = lines_of(second.events)
    assert (seen.rule, seen.start_s) == ("face", 0.0)
    assert lines_of(first.events, UNJUDGED) == lines_of(second.events, UNJUDGED) == []


def test_the_man_in_the_car_looks_aside_at_the_end(
    served: tuple[dict[str, ModelSpec], TritonTarget], sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    """He talks to the camera, and turns to the right of the picture after 3.7 s."""
    specs, target = served
    video_id = infer_video(
        tmp_path, sample_videos["carphone_pristine.mp4"], [specs["gaze"], specs["faces"]], target, Fraction(5)
    )
    params = proctor.ProctorParams(away_deg=20, away_s=0.2, phone_s=0)
    one_face = PolicyParams(rules=(Rule(name="second", model="faces", classes=("face",), at_least=2, confidence=0.5),
                                   Rule(name="gone", model="faces", classes=("face",), fewer_than=1)))  # fmt: skip
    with archive_of(tmp_path) as archive:
        video = archive.video(video_id)
        found = proctor.judge(archive, video, params, proctor.USE.ruleset(params))
        alone = policy.judge(archive, video, one_face, policy.USE.ruleset(one_face))
    rows = [row for row in found.events.table().to_pylist() if row["kind"] in proctor.ALARMS]
    assert [row["kind"] for row in rows] == ["look_away"]
    assert rows[0]["start_s"] == pytest.approx(3.8, abs=0.21)
    assert '"direction": "right"' in rows[0]["facts"]
    assert lines_of(alone.events) == []
    (count,) = [row for row in found.events.table().to_pylist() if row["kind"] == "faces_count"]
    assert (count["score"], count["start_s"]) == (1.0, 0.0)


def circles(out: Path) -> Path:
    """Ten pictures at 5 a second: a circle, blue and then red."""
    with av.open(str(out), "w") as made:
        stream = made.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "bgr0"
        for i in range(10):
            picture = np.full((240, 320, 3), 200, np.uint8)
            cv2.circle(picture, (160, 120), 70, (20, 20, 230) if i < 5 else (230, 20, 20), cv2.FILLED)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        made.mux(stream.encode(None))
    return out


def test_phrases_are_asked_of_the_clip_that_ships(
    load_served: Callable[[str], tuple[TritonClient, ModelSpec]], tmp_path: Path
) -> None:
    """Its text side gives the vectors; words that it was never trained on are not judged, but told."""
    client, spec = load_served("clip/1")
    settings = Settings(home=tmp_path, triton=TritonSettings(url=client._target.url))
    video_id = infer_video(tmp_path, circles(tmp_path / "circles.mkv"), [spec], client._target)
    colours = read_policy(ROOT / "examples" / "policies" / "colours.yaml").policy
    assert colours is not None
    known = prepared(PolicyParams(rules=colours.rules), settings)
    unknown = prepared(PolicyParams(rules=(Rule(name="gun", phrases=("a gun",)),)), settings)
    assert isinstance(known, PolicyParams)
    assert isinstance(unknown, PolicyParams)
    with archive_of(tmp_path) as archive:
        video = archive.video(video_id)
        red = policy.judge(archive, video, known, policy.USE.ruleset(known))
        gun = policy.judge(archive, video, unknown, policy.USE.ruleset(unknown))
    (line,) = lines_of(red.events)
    assert (line.rule, line.start_s, line.end_s) == ("red", pytest.approx(1.0), pytest.approx(2.0))
    assert line.facts["reason"].startswith("a red circle")
    assert lines_of(gun.events) == []
    assert "was not trained on: " in lines_of(gun.events, UNJUDGED)[0].facts["says"]
