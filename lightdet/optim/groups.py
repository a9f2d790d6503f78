"""Parameter groups with and without weight decay."""

from typing import Any

from torch import nn

DECAYING = (nn.Conv1d, nn.Conv2d, nn.Linear)


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Weights of convolutions and linear layers take the optimizer's weight decay; biases, normalisation, scalar gates
    and tables take none, and are no matrices for an optimizer that treats matrices apart (`Muon`)."""
    decaying = {id(module.weight) for module in model.modules() if isinstance(module, DECAYING)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if id(p) in decaying]},
        {"params": [p for p in trained if id(p) not in decaying], "weight_decay": 0.0, "matrices": False},
    ]
