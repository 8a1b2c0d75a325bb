"""Run a model over a video with the official client, and draw what it saw onto every frame.

    pip install roboflow supervision
    API_URL=http://127.0.0.1:8800 python examples/draw_predictions.py football.mp4 --out drawn.mp4

The example that came with the Video Inference API, as today's packages want it: `predict_video` returns three values,
boxes come from `Detections.from_inference`, results are an object of lists, and a frame that failed is None.
"""

import argparse
import os

import numpy as np
import roboflow
import supervision as sv

parser = argparse.ArgumentParser(description="Draw predictions onto a video.")
parser.add_argument("video")
parser.add_argument("--out", default="drawn.mp4")
parser.add_argument("--project", default="detector")
parser.add_argument("--version", type=int, default=1)
arguments = parser.parse_args()

# Any key does for a fresh local install; afterwards one of `framehouse keys create`.
client = roboflow.Roboflow(api_key=os.environ.get("ROBOFLOW_API_KEY", "fh_any"))
model = client.workspace().project(arguments.project).version(arguments.version).models()[0]

# Every frame, so that no box flickers. For most other uses 3 to 5 frames a second are enough.
every_frame = round(sv.VideoInfo.from_video_path(arguments.video).fps)
job_id, signed_url, expires = model.predict_video(arguments.video, fps=every_frame, prediction_type="batch-video")
results = model.poll_until_video_results(job_id)
if "frame_offset" not in results:
    raise SystemExit(f"the job failed: {results.get('message')}")

seen = dict(zip(results["frame_offset"], results[arguments.project], strict=True))
boxes, labels = sv.BoxAnnotator(thickness=2), sv.LabelAnnotator()


def draw(scene: np.ndarray, index: int) -> np.ndarray:
    """One frame with its boxes; as it was where there is no answer."""
    frame = seen.get(index)
    if frame is None:
        return scene
    detections = sv.Detections.from_inference(frame)
    names = [f"{one['class']} {one['confidence']:.2f}" for one in frame["predictions"]]
    scene = boxes.annotate(scene=scene.copy(), detections=detections)
    return labels.annotate(scene=scene, detections=detections, labels=names)


sv.process_video(source_path=arguments.video, target_path=arguments.out, callback=draw)
print(f"{sum(frame is not None for frame in seen.values())} frames drawn into {arguments.out}")
