"""Fine-tuning for int8: what is rounded, what is learned through it, and that nothing of it stays in the run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn

from lightdet.callback.quantized import Quantized
from lightdet.core.errors import LightdetError
from lightdet.export.int8 import Recipe


class Task(LightningModule):
    """Two convolutions with a BatchNorm, where a task has its model."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
        self.model = nn.Module()
        self.model.network = network


def step(callback: Quantized, task: Task, images: torch.Tensor) -> torch.Tensor:
    task.model.train()
    callback.on_train_batch_start(ONE, task)
    return task.model.network(images)  # type: ignore[no-any-return, operator]


ONE: Any = SimpleNamespace(world_size=1)
IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_weights_first_then_inputs_are_rounded_and_gradients_pass() -> None:
    task, callback = Task(), Quantized(observed_batches=1)
    plain = task.model.network.eval()(IMAGES)  # type: ignore[operator]
    kept = {name: value.clone() for name, value in task.state_dict().items()}
    callback.on_fit_start(ONE, task)
    first = step(callback, task, IMAGES)
    assert callback.ranges["model.network.0"] == pytest.approx([0.0, float(IMAGES.max())])
    second = step(callback, task, IMAGES)
    steps_of_weights, steps_of_both = (float((each - plain).detach().abs().max()) for each in (first, second))
    assert 0 < steps_of_weights < 0.05 and 0 < steps_of_both < 0.05 and not torch.equal(first, second)
    second.square().sum().backward()
    assert all(float(value.grad.abs().sum()) > 0 for value in task.parameters() if value.grad is not None)
    assert all(value.grad is not None for value in task.parameters())
    callback.on_validation_start(ONE, task)
    task.model.eval()
    assert torch.equal(task.model.network(IMAGES), second), "what is validated is rounded, too"  # type: ignore[operator]
    callback.on_fit_end(ONE, task)
    assert torch.equal(task.model.network(IMAGES), plain)  # type: ignore[operator]
    assert all(torch.equal(kept[name], value) for name, value in task.state_dict().items()), "statistics stay, too"


def test_weights_take_the_steps_of_the_exported_file() -> None:
    """A factor of an output channel, as BatchNorm is, changes the scale of its weights and not their steps."""
    task, callback = Task(), Quantized()
    callback.on_fit_start(ONE, task)
    convolution = task.model.network[0]  # type: ignore[index]
    pixel = torch.zeros(1, 3, 3, 3)
    pixel[0, 1, 1, 2] = 1.0
    found = convolution(pixel).flatten() - convolution.bias
    weight = convolution.weight.detach()
    most = 2 ** (Recipe().weight_bits - 1) - 1
    scales = weight.abs().amax((1, 2, 3)) / most
    expected = (weight[:, 1, 1, 2] / scales).round() * scales
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_training_that_goes_on_has_its_ranges() -> None:
    task, callback, other = Task(), Quantized(observed_batches=1), Quantized(observed_batches=1)
    callback.on_fit_start(ONE, task)
    step(callback, task, IMAGES)
    other.load_state_dict(callback.state_dict())
    expected = step(callback, task, IMAGES)
    callback.on_fit_end(ONE, task)
    other.on_fit_start(ONE, task)
    assert torch.equal(step(other, task, IMAGES), expected)


def test_what_it_cannot_do_is_one_line() -> None:
    with pytest.raises(LightdetError, match=r"trainer\.devices=1"):
        Quantized().on_fit_start(SimpleNamespace(world_size=2), Task())  # type: ignore[arg-type]
    with pytest.raises(LightdetError, match="weight_bits=4"):
        Quantized(weight_bits=4)

    class Own(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return input

    task = Task()
    task.model.network[3] = Own(8, 4, 1)  # type: ignore[index, operator]
    with pytest.raises(LightdetError, match="Own of this network is no plain convolution"):
        Quantized().on_fit_start(ONE, task)
