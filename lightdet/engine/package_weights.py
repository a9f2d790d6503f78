"""Fills a model from a file of safetensors, which holds tensors and nothing that could run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from lightdet.core.errors import LightdetError, one_line
from lightdet.model.contract import Model
from lightdet.nn.inputs import blank_image
from lightdet.ops.grid import ImageSize


def read_tensors(content: bytes, said_by: Path) -> dict[str, Tensor]:
    """The tensors of a file's content, on the CPU. `said_by` names the file in errors.

    Raises LightdetError for what is no file of safetensors.
    """
    try:
        return load(content)
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise LightdetError(f"{said_by}: not readable as safetensors ({reason[:120]})") from None


def filled(build: Callable[[], Model], tensors: Mapping[str, Tensor], image_size: ImageSize, said_by: Path) -> Model:
    """The model that `build` makes, with these tensors, on the CPU, in eval mode; it has computed one blank image.

    It is built first without memory for its weights, so that a description of an enormous one costs nothing. Raises
    LightdetError where none can be built, the tensors are not its own by name, type and shape, and where it fails.
    """
    with torch.device("meta"), _one_line(said_by, "no model can be built of it"):
        wanted = build().state_dict()
    for name in [*wanted, *tensors]:
        if name not in tensors:
            raise LightdetError(f"{said_by}: the tensor {name} of this model is missing")
        if name not in wanted:
            raise LightdetError(f"{said_by}: the tensor {ascii(name)[1:-1][:80]} is none of this model")
        given, own = _kind(tensors[name]), _kind(wanted[name])
        if given != own:
            raise LightdetError(f"{said_by}: the tensor {name} is {given}, and this model needs {own}")
    model = build().eval()
    model.load_state_dict(tensors)
    with torch.inference_mode(), _one_line(said_by, "the model does not compute"):
        model.predict(blank_image(model.network, image_size, level=0.5))
    return model


@contextmanager
def _one_line(said_by: Path, what: str) -> Iterator[None]:
    """An error of the block, whatever it is, comes from what the package says."""
    try:
        yield
    except Exception as error:
        raise LightdetError(f"{said_by}: {what}: {one_line(error)}") from error


def _kind(tensor: Tensor) -> str:
    """Such as "float32 [64, 3, 3, 3]"."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
