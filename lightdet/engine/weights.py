"""Starts a model from those weights of another training that fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.engine.package_weights import read_tensors
from lightdet.model.contract import Model
from lightdet.nn.widths import Widths, widths_of
from lightdet.runs.package import is_safetensors

NAMED = 3  # of the tensors that start anew


def start_from(model: nn.Module, file: Path, source: str) -> str:
    """Copy every tensor of a checkpoint that has the name and the shape of one of the model's; returns a line about it.

    `file` is a run's checkpoint, of which the averaged weights count, a state dict, also one under "state_dict", or a
    file of safetensors; `source` is its name in that line. Raises LightdetError where no parameter fits.
    """
    given = _tensors_of(file)
    own = model.state_dict()
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    count = sum(sizes.get(name, 0) for name in fitting)
    if not count:
        raise LightdetError(f"weights={source}: none of its {len(given)} tensors fits a parameter of this model")
    model.load_state_dict({**own, **fitting})
    anew = [name for name in sizes if name not in fitting]
    line = f"{count:,} of {sum(sizes.values()):,} parameters from {source}"
    if not anew:
        return line
    more = f" and {len(anew) - NAMED} more" if len(anew) > NAMED else ""
    return f"{line}; start anew: {', '.join(anew[:NAMED])}{more}"


def narrower_widths(model: Model, file: Path) -> Widths:
    """The widths of those layers that a checkpoint, or a file of safetensors, of the same model has narrower."""
    given, whole = _tensors_of(file), widths_of(model.network)
    names = {name: given.get(f"network.{name}.weight") for name in whole}
    widths = {name: list(weight.shape[: len(whole[name])]) for name, weight in names.items() if weight is not None}
    return {
        name: width
        for name, width in widths.items()
        if width != whole[name] and all(new <= old for new, old in zip(width, whole[name], strict=True))
    }


def _tensors_of(file: Path) -> dict[str, Tensor]:
    return read_tensors(file.read_bytes(), file) if is_safetensors(file) else _tensors(read_checkpoint(file))


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    average = state.get("ema")
    weights = average.get("weights") if isinstance(average, dict) else state.get("state_dict", state)
    return (
        {name: value for name, value in weights.items() if isinstance(value, Tensor)}
        if isinstance(weights, Mapping)
        else {}
    )
