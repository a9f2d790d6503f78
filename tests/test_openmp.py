"""What OpenMP itself says of its policy after the call."""

import os
import subprocess
import sys

import pytest

from lightdet.core.openmp import POLICY, SPINS

SCRIPT = "from lightdet.core.openmp import sleep_at_barriers; sleep_at_barriers(); import torch; torch.ones(1)"


@pytest.mark.parametrize(("given", "seen"), [({}, True), ({"OMP_WAIT_POLICY": "ACTIVE"}, False)])
def test_threads_wait_as_said(given: dict[str, str], seen: bool) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in (POLICY, SPINS)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**inherited, "OMP_DISPLAY_ENV": "verbose", **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if SPINS not in done.stderr:
        pytest.skip("this torch does not compute with GNU's OpenMP")
    assert (f"{SPINS} = '20000'" in done.stderr.replace('"', "'")) is seen
