"""Become tritonserver, and die with the thread that started this process.

Run as `python -I -S launch.py OWNER_PID PROGRAM ARGUMENT...`. A process of its own, because code between fork and exec
in a program with threads may hang; the death signal survives exec. Imports nothing of Framehouse.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for SIGKILL at the owner's death; end at once when the owner died before that."""
    owner, program = int(sys.argv[1]), sys.argv[2]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != owner:
        sys.exit("the owner is gone")
    os.execv(program, sys.argv[2:])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
