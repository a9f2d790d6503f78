"""Fills a model from a file of safetensors, which holds tensors and nothing that could run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from lightdet.core.errors import LightdetError, one_line
from lightdet.core.shown import shown
from lightdet.model.contract import Model
from lightdet.nn.inputs import blank_image
from lightdet.runs.contract import Contract
from lightdet.runs.package import WEIGHTS, weights_content

HEADER_BYTES = 1024  # of a tensor's name and shape in the file, and of what else its header holds


def read_tensors(content: bytes, said_by: Path) -> dict[str, Tensor]:
    """The tensors of a file's content, on the CPU. `said_by` names the file in errors.

    Raises LightdetError for what is no file of safetensors.
    """
    try:
        return load(content)
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise LightdetError(f"{said_by}: not readable as safetensors ({reason[:120]})") from None


def filled(build: Callable[[], Model], package: Path, contract: Contract) -> Model:
    """The model that `build` makes, with the weights of a package, on the CPU, in eval mode; it has computed one blank
    image.

    It is built first without memory for its weights, so that a description of an enormous one costs nothing. Raises
    LightdetError where none can be built, the weights are not those that the contract describes or not its own by name,
    type and shape, and where it does not compute.
    """
    with torch.device("meta"), _one_line(package, "no model can be built of it"):
        wanted = build().state_dict()
    most = HEADER_BYTES * (1 + len(wanted)) + sum(tensor.numel() * tensor.itemsize for tensor in wanted.values())
    file = package / WEIGHTS
    tensors = read_tensors(weights_content(package, contract, most), file)
    for name in [*wanted, *tensors]:
        if name not in tensors:
            raise LightdetError(f"{file}: the tensor {name} of this model is missing")
        if name not in wanted:
            raise LightdetError(f"{file}: the tensor {shown(name[:80])} is none of this model")
        given, own = _kind(tensors[name]), _kind(wanted[name])
        if given != own:
            raise LightdetError(f"{file}: the tensor {name} is {given}, and this model needs {own}")
    model = build().eval()
    model.load_state_dict(tensors)
    with torch.inference_mode(), _one_line(package, "the model does not compute"):
        model.predict(blank_image(model.network, contract.image_size, level=0.5))
    return model


@contextmanager
def _one_line(said_by: Path, what: str) -> Iterator[None]:
    """An error of the block, whatever it is, comes from what the package says."""
    try:
        yield
    except Exception as error:
        raise LightdetError(f"{said_by}: {what}: {shown(one_line(error))}") from error


def _kind(tensor: Tensor) -> str:
    """Such as "float32 [64, 3, 3, 3]"."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
