"""How the threads of OpenMP, which torch computes with, wait for each other."""

import os

POLICY, SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"


def sleep_at_barriers() -> None:
    """A thread that waits for the others gives its core away after a while, unless the environment says otherwise.

    By default it spins on, and where another program has a core, the thread it waits for does not come: a training then
    stands still. With 20,000 turns, an idle machine trains as fast as with spinning, and a busy one goes on. To be
    called before torch is imported; children inherit it.
    """
    if POLICY not in os.environ:
        os.environ.setdefault(SPINS, "20000")
