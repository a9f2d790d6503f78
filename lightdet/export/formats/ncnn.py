"""ncnn, for phones and small boards: .ncnn.param and .bin, made by pnnx, and the contract beside them in .json.

One image at a time, of one size; it gives scored boxes, of which `lightdet.runtime` selects. Some networks that pnnx
converts end the process that runs them: both are done in a process of their own first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_text
from lightdet.export.choice import Format

if TYPE_CHECKING:
    from lightdet.export.source import Source

SECONDS = 300  # that a conversion or a trial may take
TRIAL = """
import sys
import numpy as np
from lightdet.runtime import load

file = load(sys.argv[1])
file.run_outputs(np.zeros((1, *map(int, sys.argv[2:])), np.uint8), file.raw_outputs)
"""


def write(source: Source, precision: str, contract: Mapping[str, Any], path: Path) -> None:
    import torch

    from lightdet.export.whole import OfPixels, Whole, example

    if source.open_size:
        raise LightdetError("format ncnn: its files take images of one size; leave out --open-size")
    path = path.resolve()
    images = example(source.model, source.image_size, 1)
    pixels = images.permute(0, 3, 1, 2).float()
    work = path.parent / "pnnx"
    work.mkdir()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(OfPixels(Whole(source.model)), pixels, check_trace=False).save(str(work / "traced.pt"))
    shape = ",".join(map(str, pixels.shape))
    weights = path.with_suffix(".bin")
    half = f"fp16={int(precision == 'float16')}"
    words = [_converter(), "traced.pt", f"inputshape=[{shape}]", half, f"ncnnparam={path}", f"ncnnbin={weights}"]
    _child(words, work, "pnnx cannot convert this model")
    for part in work.iterdir():
        part.unlink()
    work.rmdir()
    if not path.is_file() or not weights.is_file():
        raise LightdetError("format ncnn: pnnx cannot convert this model")
    write_text(path.with_suffix(".json"), json.dumps(dict(contract), allow_nan=False))
    trial = [sys.executable, "-c", TRIAL, str(path), *map(str, images.shape[1:])]
    _child(trial, path.parent, "ncnn cannot run this model")


def _converter() -> str:
    import pnnx

    return str(Path(pnnx.__file__).with_name("pnnx"))


def _child(words: Sequence[str], folder: Path, failure: str) -> None:
    """Raises LightdetError, which begins with `failure`, for a process that fails, dies or takes too long."""
    try:
        ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise LightdetError(f"format ncnn: {failure} within {SECONDS} s") from None
    if ended.returncode < 0:
        raise LightdetError(f"format ncnn: {failure}: its process died of signal {-ended.returncode}")
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        raise LightdetError(f"format ncnn: {failure} ({reason})")


FORMAT = Format(
    ".ncnn.param",  # .bin alone would be that of OpenVINO
    ("ncnn", "pnnx"),
    "pip install 'lightdet[ncnn]'",
    ("float32", "float16"),
    write,
    selects=False,
    one_image=True,
)
