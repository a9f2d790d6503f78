"""Set before torch is imported: one thread for a test, caches for all, and no library calls home."""

import copy
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

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
LONGEST = (
    *("test_resume.py", "test_packaging.py", "test_ddp.py", "test_models.py", "test_api.py", "test_end_to_end.py"),
    *("test_notebook.py", "test_search_trials.py", "test_torchvision_detectors.py", "test_search_space.py"),
)


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


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[None]:
    """The same words over the same files are composed once in a session: a copy costs 7 ms, a composition 150."""
    compose, known = ConfigLoaderImpl.load_configuration, {}

    def remembered(loader: ConfigLoaderImpl, config_name: str, overrides: list[str], *how: Any, **named: Any) -> Any:
        folders = [Path(entry.path.removeprefix("file://")) for entry in loader.config_search_path.get_path()]
        files = [(path, path.stat().st_mtime_ns) for folder in folders for path in sorted(folder.glob("**/*.yaml"))]
        key = (os.getcwd(), tuple(files), config_name, tuple(overrides), how, tuple(named.items()))
        if any(word.lstrip("+").startswith("hydra.searchpath") for word in overrides):  # further folders
            return compose(loader, config_name, overrides, *how, **named)
        if key not in known:
            known[key] = compose(loader, config_name, overrides, *how, **named)
        return copy.deepcopy(known[key])

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", remembered)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with `neu-det/` and `deep-pcb/`: $LIGHTDET_DATA, or the data folder beside the clone."""
    named = os.environ.get("LIGHTDET_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist; set LIGHTDET_DATA to the folder that holds neu-det/")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run and its model package (`exported.Exported`); a test changes copies of them alone."""
    from exported import train_and_export

    return train_and_export(tmp_path_factory.mktemp("made"))
