"""Odd surroundings of a command: modules beside the user, long and missing folders, a user without a home."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lightdet.core.cache_folder import cache_folder
from lightdet.core.import_path import hidden_by, share_import_path

ROOT = Path(__file__).resolve().parent.parent
# What a launcher does: children of a fork server, which import what they need, and semaphores between them.
CHILDREN = """
import multiprocessing, os, sys
from lightdet.core.import_path import share_import_path, share_working_folder
from lightdet.core.temporary import settle_temporary_folder

def look(answers, lock):
    import logging, mine, random, types
    with lock:
        answers.put([getattr(module, "HERE", "") for module in (logging, mine, random, types)])

if __name__ == "__main__":
    share_import_path()
    share_working_folder()
    settle_temporary_folder()
    context = multiprocessing.get_context("forkserver")
    answers, lock = context.Queue(), context.Lock()
    process = context.Process(target=look, args=(answers, lock))
    process.start()
    print(answers.get(timeout=30))
    process.join()
"""


def program(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The children, started by a program that lies elsewhere, as the console script does."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "program.py").write_text(CHILDREN)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.py").write_text("HERE = 'mine'\n")
    for name in ("random", "types", "logging", "multiprocessing", "threading"):
        (tmp_path / "here" / f"{name}.py").write_text("HERE = 'hides the library'\n")
    return subprocess.run(
        [sys.executable, tmp_path / "bin" / "program.py"],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_module_beside_the_user_hides_none_that_is_needed(tmp_path: Path) -> None:
    done = program(tmp_path)
    assert (done.stdout, done.stderr) == ("['', 'mine', '', '']\n", "")


def test_a_temporary_folder_with_a_long_path_leaves_room_for_sockets(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 110)
    folder.mkdir()
    done = program(tmp_path, TMPDIR=str(folder))
    assert (done.stdout, done.stderr) == ("['', 'mine', '', '']\n", "")


def test_what_a_folder_would_hide_is_known(tmp_path: Path) -> None:
    alone = "nobody_else_has_a_module_of_this_name.py"  # other tests leave folders with modules in sys.path
    for name in ("random.py", alone, "numpy/__init__.py", "yaml.py", "data/image.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert hidden_by(str(tmp_path), sys.path) == ["numpy", "random", "yaml"]


@pytest.mark.parametrize(("name", "told"), [("plain", False), ("random", True)])
def test_child_processes_are_told_of_a_folder_that_would_hide_something(
    name: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / f"{name}.py").touch()
    monkeypatch.chdir(tmp_path)
    share_import_path()
    assert os.environ["PYTHONSAFEPATH"] == ("1" if told else "")
    assert str(tmp_path) not in (*sys.path, *os.environ["PYTHONPATH"].split(os.pathsep))


def test_a_working_directory_that_was_deleted_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    words = f'cd {tmp_path}/gone; rmdir ../gone; exec "$0" -m lightdet.cli train'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", words, sys.executable], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == "lightdet: the working directory was deleted; change to one that exists\n"


@pytest.mark.parametrize("home", ["unknown", "read only", "a file"])
def test_a_user_without_a_home_has_a_cache(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIGHTDET_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / ("file" if home == "a file" else "")))
    assert cache_folder() == tmp_path / ".cache/lightdet" or home == "a file"
    if home == "unknown":
        monkeypatch.setattr(Path, "home", classmethod(no_home))
    if home == "read only":
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = cache_folder()
    assert folder == cache_folder() and folder.parent == temporary
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert cache_folder() not in (folder, tmp_path), "somebody else has taken its name"


def no_home(_: object) -> Path:
    raise RuntimeError("Could not determine home directory.")
