"""Set before torch is imported: one thread for a test, caches for all, and no library calls home."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background of a script: children would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["OMP_NUM_THREADS"] = "1"  # a process for each core (pytest -n auto), not a thread
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # waiting OpenMP threads sleep instead of spinning
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling torch and its like costs a cold process eight seconds

ROOT = Path(__file__).resolve().parent.parent
CACHE = "LIGHTDET_CACHE"
# Files by what they cost, most first: pytest -n deals whole files, and a long one at the end would keep one core alone.
LONGEST = ("test_resume.py", "test_ddp.py", "test_study.py", "test_end_to_end.py", "test_models.py", "test_trackers.py")


def pytest_configure(config: pytest.Config) -> None:
    """Draw synthetic images once for all tests and all processes of this session."""
    if not hasattr(config, "workerinput"):
        os.environ[CACHE] = tempfile.mkdtemp(prefix="lightdet-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[CACHE], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within a file stays."""
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with `neu-det/` and `deep-pcb/`: $LIGHTDET_DATA, or the data folder beside the clone."""
    named = os.environ.get("LIGHTDET_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist; set LIGHTDET_DATA to the folder that holds neu-det/")
    return folder
