"""A damaged checkpoint is refused in one line, whatever the damage; one without a checksum is read as ever."""

import random
import zipfile
from pathlib import Path

import pytest
import torch

from lightdet.core.checkpoint_file import DAMAGED, read_checkpoint, write_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.task.checkpoint_io import WholeCheckpoints

CONTENT = {"epoch": 3, "ema": {"weights": {"a": torch.arange(50.0), "b": torch.ones(2, 3)}, "steps": 7}, "names": ["x"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "best.ckpt"
    write_checkpoint(CONTENT, path)
    return path


def test_what_is_written_is_read_here_and_by_other_programs(file: Path) -> None:
    for state in (read_checkpoint(file), torch.load(file, weights_only=True), torch.load(file, mmap=True)):
        assert state["epoch"] == 3 and torch.equal(state["ema"]["weights"]["a"], torch.arange(50.0))
    assert zipfile.ZipFile(file).testzip() is None
    assert [path.name for path in file.parent.iterdir()] == ["best.ckpt"], "the checksum moves with the file"


def test_any_changed_bit_and_any_cut_is_found(file: Path) -> None:
    """Without a checksum, a fifth of such changes is read without complaint, and others end in raw errors."""
    whole = file.read_bytes()
    drawn = random.Random(0)
    places = [drawn.randrange(8 * len(whole)) for _ in range(250)]
    places += range(8 * (len(whole) - 110), 8 * len(whole))  # every bit of the checksum and of what surrounds it
    for place in places:
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        refused(file, bytes(changed))
    for length in [*(drawn.randrange(len(whole)) for _ in range(50)), *range(len(whole) - 110, len(whole))]:
        refused(file, whole[:length])


def refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(LightdetError) as told:
        read_checkpoint(file)
    assert str(told.value).startswith(f"{file}: ") and "\n" not in str(told.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "as before torch 1.6"])
def test_a_file_without_a_checksum_is_read(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "old.pt"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    assert read_checkpoint(path)["epoch"] == 3
    with pytest.raises(LightdetError, match=DAMAGED if zipped else "not a readable checkpoint"):
        refused_content = path.read_bytes()[:-5]
        path.write_bytes(refused_content)
        read_checkpoint(path)


def test_a_training_whose_last_checkpoint_is_damaged_says_what_can_be_done(file: Path) -> None:
    last = file.with_name("last.ckpt")
    io = WholeCheckpoints()
    io.save_checkpoint(CONTENT, last)
    assert io.load_checkpoint(last, weights_only=True)["epoch"] == 3
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.raises(LightdetError, match=r"last.ckpt: .* To resume without it, delete it: the training begins"):
        io.load_checkpoint(last, weights_only=True)
