"""TorchScript: one file for torch in C++ and Python; it gives scored boxes, of which `lightdet.runtime` selects."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightdet.export.choice import Format
from lightdet.runtime.engine.torch_file import NAME

if TYPE_CHECKING:
    from lightdet.export.source import Source


def write(source: Source, precision: str, contract: Mapping[str, Any], path: Path) -> None:
    import torch

    from lightdet.export.whole import Whole, example

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's advice about shapes; the gate tries other ones
        traced = torch.jit.trace(Whole(source.model), example(source.model, source.image_size), check_trace=False)
        traced.save(str(path), _extra_files={NAME: json.dumps(dict(contract), allow_nan=False)})


FORMAT = Format(".torchscript", ("torch",), "pip install torch", ("float32",), write, selects=False)
