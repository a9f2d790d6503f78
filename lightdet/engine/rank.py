"""A rank other than 0 of a training in several processes: `python -m lightdet.engine.rank RUN_FOLDER`.

Started by rank 0, torchrun or srun, beside a rank 0 that trains the run in that folder. It ends with rank 0. Where
torchrun or srun starts it, a run with modules outside lightdet needs --trust-modules after the folder.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from lightdet.config.trust import WORD
from lightdet.core.output import guard_output
from lightdet.distributed.world import PARENT, world_from

PR_SET_PDEATHSIG = 1  # prctl(2)
LOOK_SECONDS = 0.5


def main() -> int:
    """Trains as the rank that the environment variables define; returns the exit code."""
    world = world_from(os.environ)
    guard_output()
    if world is None or world.rank == 0 or len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], [WORD]):
        print(f"{__doc__}\nThe environment variables define no rank other than 0.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to rank 0 as well, which ends this process
    if PARENT in os.environ:
        end_with(int(os.environ[PARENT]))
    from lightdet.engine.fit import train_beside

    return train_beside(world, Path(sys.argv[1]), WORD in sys.argv)


def end_with(parent: int) -> None:
    """Has this process killed when its parent ends, for any reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads of a broken process group may wait for ever
