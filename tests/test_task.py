"""What the task does around a detector: one wait for the device in a step, and random numbers that go on."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch, Detections, Letterbox, Target
from lightdet.model.detector import Detector
from lightdet.task.training_task import TrainingTask

PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8)


class Terms(Detector):
    """Its terms are its weights."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor(weights))

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        return dict(zip(("box", "objectness", "class"), self.weights.unbind(), strict=True))

    def detect(self, images: Tensor) -> list[Detections]:
        return [Detections.none() for _ in images]


@pytest.fixture
def batch() -> Batch:
    return Batch(torch.zeros(1, 3, 8, 8), [Target(torch.zeros(0, 4), torch.zeros(0).long(), "a.png", PLACED)])


def task_of(detector: Detector, folder: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingTask:
    task = TrainingTask(detector, ["dent"], torch.optim.SGD, SimpleNamespace(), folder)  # type: ignore[arg-type]
    trainer = SimpleNamespace(current_epoch=0, max_epochs=9, global_step=0, world_size=1, global_rank=0, callbacks=())
    task._trainer = trainer  # type: ignore[assignment]
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    return task


def test_a_step_waits_for_the_device_once(batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(Terms(0.5, 0.25, 2.0), tmp_path, monkeypatch)
    waits: list[str] = []
    for name in ("item", "tolist", "__float__", "__bool__", "__int__"):
        real = getattr(Tensor, name)

        def counted(tensor: Tensor, name: str = name, real: Any = real) -> Any:
            waits.append(name)
            return real(tensor)

        monkeypatch.setattr(Tensor, name, counted)
    loss = task.training_step(batch, 0)
    assert len(waits) == 1
    monkeypatch.undo()
    assert task.sums == {"loss": 2.75, "box": 0.5, "objectness": 0.25, "class": 2.0}
    loss.backward()
    assert task.model.weights.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 2e4])
def test_a_loss_that_breaks_names_its_terms(
    broken: float, batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(Terms(0.5, broken, 2.0), tmp_path, monkeypatch)
    with pytest.raises(LightdetError, match=rf"box 0\.5, objectness {broken:.3g}".replace("+", r"\+")):
        task.training_step(batch, 0)
    assert (tmp_path / "broken_batch.pt").exists()


def test_random_numbers_go_on_where_the_model_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning reads a checkpoint before it moves the model: the device in use is known when the training goes on."""
    task = task_of(Terms(1.0, 1.0, 1.0), tmp_path, monkeypatch)
    device, on_cuda, told = torch.device("cpu"), torch.tensor([7, 8], dtype=torch.uint8), []
    monkeypatch.setattr(TrainingTask, "device", property(lambda _: device))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, where: told.append((state.tolist(), where)))
    torch.manual_seed(3)
    saved = {"sums": {"loss": 1.0}, "batches": 4, "rng": torch.get_rng_state(), "cuda_rng": on_cuda}
    expected = torch.rand(3)
    task.on_load_checkpoint({"lightdet": saved})
    assert (task.sums, task.batches) == ({"loss": 1.0}, 4)
    device = torch.device("cuda:1")
    torch.rand(5)  # whatever happens between
    task.on_train_start()
    assert told == [([7, 8], device)]
    assert torch.equal(torch.rand(3), expected)
    task.on_train_start()
    assert len(told) == 1, "another training of the same task begins with its own numbers"
