"""torch.export: one .pt2 for torch and its compilers; it gives scored boxes, of which `lightdet.runtime` selects."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightdet.core.errors import LightdetError, one_line
from lightdet.export.choice import Format
from lightdet.runtime.engine.torch_file import NAME

if TYPE_CHECKING:
    from lightdet.export.source import Source


def write(source: Source, precision: str, contract: Mapping[str, Any], path: Path) -> None:
    import torch
    from torch.export import Dim

    from lightdet.export.whole import Whole, example

    images = example(source.model, source.image_size)
    axes = {0: Dim.AUTO} if len(images) > 1 else {}
    if source.open_size:
        axes |= {1: Dim.AUTO, 2: Dim.AUTO}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            made = torch.export.export(Whole(source.model), (images,), dynamic_shapes=(axes,), strict=False)
        except Exception as error:  # of many kinds
            raise LightdetError(f"torch.export cannot trace this model ({one_line(error)[:200]})") from error
        made._example_inputs = None  # torch would store them as a pickle
        torch.export.save(made, str(path), extra_files={NAME: json.dumps(dict(contract), allow_nan=False)})


FORMAT = Format(".pt2", ("torch",), "pip install torch", ("float32",), write, selects=False)
