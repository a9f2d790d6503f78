"""What OpenMP itself says of its policy after the call."""

import os
import subprocess
import sys

import pytest

SCRIPT = "from lightdet.core.openmp import sleep_at_barriers; sleep_at_barriers(); import torch; torch.ones(1)"


@pytest.mark.parametrize(("given", "seen"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_as_said(given: dict[str, str], seen: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**inherited, "OMP_DISPLAY_ENV": "true", **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("this torch does not compute with OpenMP")
    assert f"OMP_WAIT_POLICY = '{seen}'" in done.stderr.replace('"', "'")
