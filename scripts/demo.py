"""`make demo`: the README's first minutes, for real. Starts the stack, runs every model that ships over three videos,
asks SQL, searches, draws boxes.

Prints each command before it runs it, so that what scrolls by can be typed again. A stack that runs already is used and
left running.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

from framehouse.cli.stack import running_stack
from framehouse.config import load_settings
from framehouse.inference.repository import load_specs
from framehouse.samples import sample_videos

FRAMEHOUSE = Path(sys.executable).with_name("framehouse")

QUESTIONS = {
    "What was seen, in which video, by which model, and when first?": """
SELECT regexp_extract(v.uri, '[^/]+$') AS video, d.class_name, d.model_id, count(*) AS boxes,
       count(DISTINCT d.frame_offset) AS frames, round(min(f.time_offset_s), 1) AS first_seen_s
FROM detections d
JOIN frames f USING (video_id, frame_offset)
JOIN videos v USING (video_id)
WHERE d.confidence >= 0.4
GROUP BY ALL ORDER BY video, boxes DESC LIMIT 14""",
    "Where does the man in the car look? Degrees; yaw to the left of the picture, pitch upwards": """
SELECT floor(f.time_offset_s)::INT AS second, count(*) AS faces, round(degrees(avg(g.yaw_rad))) AS yaw,
       round(degrees(avg(g.pitch_rad))) AS pitch
FROM gazes g
JOIN frames f USING (video_id, frame_offset)
JOIN videos v USING (video_id)
WHERE v.uri LIKE '%carphone%'
GROUP BY ALL ORDER BY second""",
    "Is every planned frame of every model accounted for?": """
SELECT model_id, sum(n_planned) AS planned, sum(n_loaded) AS loaded, sum(n_gaps) AS gaps,
       sum(n_unexplained) AS unexplained
FROM completeness
GROUP BY ALL ORDER BY model_id""",
}
SEARCHES = ("automobile", "man in a suit")


def main() -> int:
    """Run the demo; returns the exit code of the first command that failed."""
    started = time.monotonic()
    settings = load_settings()
    samples = sample_videos(settings.home / "samples")
    was_running = running_stack(settings) is not None
    out = settings.home / "demo-bikes.mp4"
    try:
        framehouse("up")
        models = sorted({spec.slug for spec in load_specs([settings.model_repository]).values()})
        framehouse("run", *sorted(samples.values()), *(word for slug in models for word in ("--model", slug)))
        for question, query in QUESTIONS.items():
            say(f"\n# {question}")
            framehouse("sql", query.strip())
        for wanted in SEARCHES:
            say("\n# Moments by meaning: the models need no class of this name")
            framehouse("search", wanted, "--top", "4")
        framehouse("render", samples["bikes.mp4"], "--out", out)
    except subprocess.CalledProcessError as error:
        say(f"\nthat command failed; see the logs in {settings.log_dir}")
        return error.returncode
    finally:
        if not was_running:
            framehouse("down")
    say(f"\nDone in {time.monotonic() - started:.0f} s. The annotated video: {out}")
    return 0


def framehouse(*arguments: str | Path) -> None:
    """Show a command and run it."""
    texts = [str(argument) for argument in arguments]
    say("\n$ framehouse " + " ".join(f'"{text}"' if "\n" in text else shlex.quote(text) for text in texts))
    subprocess.run([FRAMEHOUSE, *texts], check=True)


def say(text: str) -> None:
    """Print at once: the commands print too."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
