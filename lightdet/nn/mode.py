"""Train or eval mode for the length of a block; afterwards every module has its earlier mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_mode(training: bool, *modules: nn.Module) -> Iterator[None]:
    """Puts the modules and their submodules into train or eval mode, and restores the mode of each afterwards."""
    before = {part: part.training for module in modules for part in module.modules()}
    for module in modules:
        module.train(training)
    try:
        yield
    finally:
        for part, was_training in before.items():
            part.training = was_training
