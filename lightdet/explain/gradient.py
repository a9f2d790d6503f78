"""Feature maps and the gradient of what is explained with respect to them: what all methods named CAM share."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.model.contract import Model
from lightdet.model.exported import FileNetwork
from lightdet.nn.capture import captured


def chosen_layers(model: Model, layer: str | None) -> tuple[str, ...]:
    """The layer that is named, or those that the model proposes. Raises LightdetError for an unknown name, and for
    an exported file, which has none."""
    if any(isinstance(module, FileNetwork) for module in model.network.modules()):
        raise LightdetError(
            "an exported file has neither layers nor a gradient; take --method rise, or explain the run it comes from"
        )
    names = model.explained() if layer is None else (layer,)
    if not names:
        raise LightdetError(
            f"{type(model).__name__} names no layer to explain by; name one with --layer, or take --method rise"
        )
    known = [name for name, _ in model.network.named_modules() if name]
    for name in names:
        if name not in known:
            tops = ", ".join(name for name, _ in model.network.named_children())
            raise LightdetError(f"layer {name}: not in this network; one of {tops}, or a part of one")
    return names


def maps_and_gradients(
    model: Model, images: Tensor, subject: Subject, layer: str | None = None
) -> list[tuple[Tensor, Tensor]]:
    """images (1, C, H, W) -> feature maps (c, h, w) with the gradient of the subject's logit for each, finest first.

    One forward and one backward pass. Raises LightdetError for a layer without feature maps, and where no gradient
    arrives.
    """
    layers = chosen_layers(model, layer)
    images = images.detach().clone().requires_grad_()  # also where the weights are frozen
    with torch.enable_grad(), captured(model.network, layers) as outputs:
        logit = model.evidence(images, subject)
    maps = [output for output in outputs.values() if output.ndim == 4 and output.shape[0] == 1]
    if not maps:
        raise LightdetError(f"layer {', '.join(layers)}: its output is no feature map (1, channels, height, width)")
    gradients = _gradients(logit, maps)
    if all(gradient is None for gradient in gradients):
        raise LightdetError(f"layer {', '.join(layers)}: what is explained does not depend on it; name another one")
    return [
        (one.detach()[0], torch.zeros_like(one)[0] if gradient is None else gradient[0])
        for one, gradient in zip(maps, gradients, strict=True)
    ]


def image_gradient(model: Model, images: Tensor, subject: Subject) -> Tensor:
    """images (1, C, H, W) -> the gradient of the subject's logit (C, H, W)."""
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = _gradients(model.evidence(images, subject), [images])
    if gradient is None:
        raise _no_path(model)
    return gradient[0]


def _gradients(logit: Tensor, sources: Sequence[Tensor]) -> Sequence[Tensor | None]:
    if not logit.requires_grad:
        raise LightdetError("what this model predicts has no gradient; take --method rise, which needs none")
    return torch.autograd.grad(logit, sources, allow_unused=True)


def _no_path(model: Model) -> LightdetError:
    return LightdetError(f"{type(model).__name__}: what it predicts does not depend on the image by a gradient")


def added(maps: Sequence[Tensor], shape: tuple[int, int]) -> np.ndarray:
    """Maps (h, w) of one or several scales -> their sum (H, W) float32, each enlarged to `shape`, negative values 0.

    They are added before anything is normalised, so that the scale that decides counts most.
    """
    total = torch.zeros(shape, device=maps[0].device)
    for one in maps:
        total += enlarged(one.clamp(min=0), shape)
    return total.cpu().numpy()


def enlarged(one: Tensor, shape: tuple[int, int]) -> Tensor:
    """A map (h, w) -> (H, W), bilinear."""
    return F.interpolate(one[None, None].float(), size=shape, mode="bilinear", align_corners=False)[0, 0]


def shape_of(images: Tensor) -> tuple[int, int]:
    """Height and width of a batch of images, px."""
    return images.shape[-2], images.shape[-1]
