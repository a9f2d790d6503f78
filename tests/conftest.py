"""Set before torch is imported: waiting OpenMP threads sleep instead of spinning, and no library calls home."""

import os
import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background of a script: children would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with `neu-det/` and `deep-pcb/`: $LIGHTDET_DATA, or the data folder beside the clone."""
    named = os.environ.get("LIGHTDET_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist; set LIGHTDET_DATA to the folder that holds neu-det/")
    return folder
