"""Borrowing a mode: train or eval for the length of a call, and then exactly what was there before."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_mode(training: bool, *modules: nn.Module) -> Iterator[None]:
    """Puts the modules and all that is in them into train or eval mode; afterwards each part has its own mode again."""
    before = {part: part.training for module in modules for part in module.modules()}
    for module in modules:
        module.train(training)
    try:
        yield
    finally:
        for part, was_training in before.items():
            part.training = was_training
