"""How often a training is written down inside an epoch."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightdet.callback import checkpoint_by_time
from lightdet.callback.checkpoint_by_time import CheckpointByTime


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def written(
    monkeypatch: pytest.MonkeyPatch, seconds: float, step: float, writing: float, batches: int, accumulate: int = 1
) -> list[int]:
    """The batches after which a checkpoint was written, of one epoch; step and writing take so many seconds."""
    clock, found = Clock(), []
    monkeypatch.setattr(checkpoint_by_time, "time", clock)

    def save(path: Path) -> None:
        assert path == Path("last.ckpt")
        clock.now += writing
        found.append(number)

    trainer: Any = SimpleNamespace(
        is_last_batch=False,
        accumulate_grad_batches=accumulate,
        strategy=SimpleNamespace(broadcast=bool),
        save_checkpoint=save,
    )
    callback, module = CheckpointByTime(Path("last.ckpt"), seconds), SimpleNamespace()
    callback.on_train_start(trainer, module)  # type: ignore[arg-type]
    for number in range(batches):
        clock.now += step
        trainer.is_last_batch = number == batches - 1
        callback.on_train_batch_end(trainer, module, None, None, number)  # type: ignore[arg-type]
    return found


def test_after_so_many_seconds_and_never_at_the_end_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, seconds=60, step=20, writing=1, batches=10) == [2, 5, 8]
    assert written(monkeypatch, seconds=60, step=20, writing=1, batches=9) == [2, 5]


def test_zero_seconds_are_every_step_that_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, seconds=0, step=1, writing=5, batches=7, accumulate=2) == [1, 3, 5]


def test_writing_takes_a_twentieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    found = written(monkeypatch, seconds=60, step=10, writing=8, batches=100)
    assert found == [5, 21, 37, 53, 69, 85]  # 160 s of training for each 8 s of writing
