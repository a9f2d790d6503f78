"""How the threads of OpenMP, which torch computes with, wait for each other."""

import os


def sleep_at_barriers() -> None:
    """A thread that waits for the others gives its core away, unless OMP_WAIT_POLICY says otherwise.

    By default it spins, and where another program has that core, the thread it waits for does not come: a training step
    on two threads then takes a hundred times as long. To be called before torch is imported; children inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
