"""`python -m chaos.fuzz` from tests/: damaged files by the thousand through probe, plan and decode.

Each is a small video of a kind of `media.RECIPES` with random damage. What counts: every file is sampled or refused
with a code of ours; every planned frame comes exactly once, as a picture or as a gap; no process dies, and none hangs.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import FramehouseError
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.framing import stretched
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames
from media import RECIPES, Shelf

FILE_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a file: `code` of its refusal, or how many of its planned frames were pictures and gaps."""

    code: str = ""
    n_pictures: int = 0
    n_gaps: int = 0


def spoil(data: bytearray, rng: random.Random) -> str:
    """Damage some bytes; returns how."""
    how = rng.choice(("flips", "hole", "cut", "lost", "noise", "doubled"))
    at = rng.randrange(len(data))
    n = rng.choice((1, 40, 400, 4000))
    if how == "flips":
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == "hole":
        data[at : at + n] = bytes(len(data[at : at + n]))
    elif how == "cut":
        del data[at:]
    elif how == "lost":
        del data[at : at + n]
    elif how == "noise":
        data[at : at + n] = rng.randbytes(len(data[at : at + n]))
    else:
        data[at:at] = data[at : at + n]
    return how


def look_at(path: Path) -> Verdict:
    """Sample a file as a worker does; each planned frame must come once."""
    try:
        index = probe(path)
        plan = plan_frames(index, None)
        seen: list[int] = []
        n_gaps = 0
        for chunk in chunks(index, target_s=1.0):
            wanted = frames_of_chunk(plan, chunk)
            for item in decode(path, index.stream, chunk, wanted, [stretched((64, 64))], batch_size=4):
                offsets = item.frame_offset.tolist() if isinstance(item, FrameBatch) else [item.frame_offset]
                n_gaps += not isinstance(item, FrameBatch)
                seen += offsets
    except FramehouseError as error:
        return Verdict(error.code)
    if seen != plan.frame_offset.tolist():
        raise AssertionError(f"{len(plan.frame_offset)} frames planned, {len(seen)} came")
    return Verdict("", len(seen) - n_gaps, n_gaps)


def fuzz(n_files: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """(how files ended, faults)."""
    rng, shelf = random.Random(seed), Shelf(folder)
    ends: Counter[str] = Counter()
    faults: list[str] = []
    pool = ProcessPoolExecutor(1)
    for i in range(n_files):
        name = rng.choice(sorted(RECIPES))
        data = bytearray(shelf.get(name).read_bytes())
        path = folder / f"fuzz_{name}"
        how = spoil(data, rng)
        path.write_bytes(data)
        told = f"file {i} of seed {seed}: {how} {name}"
        try:
            verdict = pool.submit(look_at, path).result(FILE_LIMIT_S)
        except BrokenProcessPool:
            faults.append(f"{told}: the process died")
            pool = ProcessPoolExecutor(1)
        except TimeoutError:
            faults.append(f"{told}: no end after {FILE_LIMIT_S:g} s")
            pool = ProcessPoolExecutor(1)
        except Exception as error:  # noqa: BLE001  what the fuzzer looks for
            faults.append(f"{told}: {type(error).__name__} {error}")
        else:
            ends[verdict.code or ("sampled with gaps" if verdict.n_gaps else "sampled whole")] += 1
            ends["frames as pictures"] += verdict.n_pictures
            ends["frames as gaps"] += verdict.n_gaps
    pool.shutdown(wait=False, cancel_futures=True)
    return ends, faults


def main() -> int:
    """Parse, run, show."""
    parser = argparse.ArgumentParser(prog="chaos.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="framehouse-fuzz-") as folder:
        ends, faults = fuzz(given.files, given.seed, Path(folder))
    for end, n in sorted(ends.items()):
        print(f"{end:<40}{n:>10}")
    print(f"{given.files} files of seed {given.seed} in {time.monotonic() - began:.0f} s, {len(faults)} faults")
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
