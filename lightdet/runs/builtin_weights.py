"""The starting weights that come with the package: `weights=builtin`. No torch here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError

BUILTIN = "builtin"
FOLDER = Path(__file__).resolve().parent.parent / "weights"
INDEX = "weights.json"  # of each file its hash, the backbone that it fits and where it comes from


def builtin_weights(cfg: DictConfig) -> Path:
    """The file whose backbone is that of the configuration, compared by what decides the shapes of its layers.

    Raises LightdetError where the package has none for it.
    """
    index: Mapping[str, Any] = json.loads((FOLDER / INDEX).read_text(encoding="utf-8"))
    backbone = OmegaConf.select(cfg, "model.network.backbone")
    own = OmegaConf.to_container(backbone, resolve=True) if OmegaConf.is_config(backbone) else {}
    assert isinstance(own, dict)
    for file, entry in index.items():
        if all(own.get(key) == value for key, value in entry["backbone"].items()):
            return FOLDER / file
    models = " and ".join(f"model={Path(file).stem}" for file in index)
    raise LightdetError(
        f"weights={BUILTIN}: the package has starting weights for {models}, and none for this backbone; take that, or "
        f"recipe=light in place of recipe=few, which starts from them"
    )
