"""`make demo`: the README's first minute, for real. Starts the stack, infers three videos, asks SQL, draws boxes.

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
from framehouse.samples import sample_videos

FRAMEHOUSE = Path(sys.executable).with_name("framehouse")

QUESTIONS = {
    "What was seen, in which video, and when first?": """
SELECT regexp_extract(v.uri, '[^/]+$') AS video, d.class_name, count(*) AS boxes,
       count(DISTINCT d.frame_offset) AS frames, round(min(f.time_offset_s), 1) AS first_seen_s
FROM detections d
JOIN frames f USING (video_id, frame_offset)
JOIN videos v USING (video_id)
WHERE d.confidence >= 0.4
GROUP BY ALL ORDER BY video, boxes DESC LIMIT 12""",
    "Is every planned frame accounted for?": """
SELECT regexp_extract(v.uri, '[^/]+$') AS video, c.model_id, c.n_planned, c.n_loaded, c.n_gaps, c.n_unexplained
FROM completeness c JOIN videos v USING (video_id) ORDER BY video""",
}


def main() -> int:
    """Run the demo; returns the exit code of the first command that failed."""
    started = time.monotonic()
    settings = load_settings()
    samples = sample_videos(settings.home / "samples")
    was_running = running_stack(settings) is not None
    out = settings.home / "demo-bikes.mp4"
    try:
        framehouse("up")
        framehouse("run", *sorted(samples.values()))
        for question, query in QUESTIONS.items():
            say(f"\n# {question}")
            framehouse("sql", query.strip())
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
