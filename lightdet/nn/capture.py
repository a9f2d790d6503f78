"""Outputs of named layers of a network, captured during a forward pass."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def captured(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """While the block runs, every forward pass of `network` fills the dict with the outputs of its `layers`.

    A layer with one tensor is under its name; one with several has them numbered or named: "neck.0", "neck.1". Tensors
    keep their graph. Raises AttributeError for a name that is no submodule of the network.
    """
    outputs: dict[str, Tensor] = {}

    def capture(layer: str) -> Any:
        return network.get_submodule(layer).register_forward_hook(
            lambda _module, _inputs, output: outputs.update(_named(layer, output))
        )

    handles = [capture(layer) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _named(name: str, output: Any) -> dict[str, Tensor]:
    if isinstance(output, Tensor):
        return {name: output}
    if isinstance(output, Mapping):
        parts = output.items()
    elif isinstance(output, list | tuple):
        parts = dict(enumerate(output)).items()
    else:
        return {}
    return {key: value for part, inner in parts for key, value in _named(f"{name}.{part}", inner).items()}
