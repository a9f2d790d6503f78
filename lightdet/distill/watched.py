"""What the networks of student and teachers gave for the batch at hand: raw outputs and maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.model.contract import Model
from lightdet.nn.capture import captured
from lightdet.nn.inputs import blank_image
from lightdet.nn.mode import in_mode
from lightdet.ops.grid import ImageSize


class Watched:
    """A network whose every pass leaves behind its output, `raw`, and the outputs of `layers`, `maps`.

    No module: who holds it has neither the network's weights nor its state. `model`: the model of the network, where
    there is one.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], model: Model | None = None) -> None:
        self.network, self.model = network, model
        self.raw: Any = None
        self._context = captured(network, layers)
        self._outputs = self._context.__enter__()  # as long as there is a network
        network.register_forward_hook(self._keep)

    @property
    def maps(self) -> list[Tensor]:
        """(B, C_i, H_i, W_i), in the order in which they are computed."""
        return [each for each in self._outputs.values() if each.ndim == 4]

    def channels(self, image_size: ImageSize) -> list[int]:
        """Channels of each map, by a pass of a blank image."""
        with torch.no_grad(), in_mode(False, self.network):
            self.network(blank_image(self.network, image_size))
        return [each.shape[1] for each in self.maps]

    def _keep(self, _network: nn.Module, _images: Any, output: Any) -> None:
        self.raw = output


class Teacher(Watched):
    """A frozen network in eval mode, which sees a batch once for all distillations of a training.

    It teaches from a fraction of the training on, `begins`. `averages`: its weights are the moving average of the
    student's.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        model: Model | None = None,
        begins: float = 0.0,
        averages: bool = False,
    ) -> None:
        super().__init__(network, layers, model)
        self.begins, self.averages = begins, averages
        self._whole = network if model is None else model
        self._whole.eval().requires_grad_(False)
        self._seen: Tensor | None = None

    @torch.no_grad()
    def see(self, images: Tensor) -> None:
        """Fills `raw` and `maps` for images (B, C, H, W) 0..1, unless they are those of the last call."""
        if images is not self._seen:
            self._whole.to(images.device)
            self.network(images)
            self._seen = images

    def follow(self, average: Mapping[str, Tensor]) -> None:
        """Takes the tensors of the student's average as its weights: as they change, it does."""
        if self.averages:
            self._whole.load_state_dict(average, assign=True)


def watched(model: Model) -> Watched:
    """A student, with the maps in which an explanation looks."""
    return Watched(model.network, layers_of(model), model)


def layers_of(model: Model) -> tuple[str, ...]:
    """The layers whose maps are compared: those in which an explanation looks, of each scale one."""
    return model.explained() or model.layers()
