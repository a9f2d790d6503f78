"""`lightdet export RUN --format onnx`: the file of a run with its contract, its checks, and what becomes of it."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes, write_json, write_text
from lightdet.engine.load import LoadedRun, load_run
from lightdet.engine.run_data import data_of
from lightdet.export.gate import Budget, judge
from lightdet.export.onnx_file import onnx_model, takes_one_image, with_contract
from lightdet.export.origin import declared, hashes_of, made_by, measured, options_of, require_results
from lightdet.export.tail import Selection
from lightdet.export.verdict import Verdict
from lightdet.metric.costs import cost_matrix
from lightdet.model.detector import DenseDetector
from lightdet.nn.inputs import in_channels
from lightdet.ops.grid import plain_size
from lightdet.runs.contract import PLACING
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_exported
from lightdet.runs.promise import KEY
from lightdet.runtime.contract import FORMAT, SCHEMA
from lightdet.runtime.session import Exported

OVERLAP = 0.5  # of `predict`: above it the lower scored of two boxes of any class is dropped
NO_THRESHOLD = 0.25  # least score where a run has none
REJECTED = "rejected"


def export_onnx(
    run: RunFolder, out: Path, licence: str | None, trust_modules: bool, open_size: bool = False
) -> tuple[Path, Verdict]:
    """Writes the run's model as one ONNX file and judges it on the run's validation images; returns where it lies, and
    the verdict, which lies beside it as JSON and HTML.

    A file that fails a check is kept as <name>.rejected.onnx; an earlier file of the same run under the name that was
    asked for stays. Raises LightdetError for a run without results, an `out` that is anything but an earlier export of
    this run, and where its validation images cannot be read: a file that nobody checked is not written.
    """
    _require_free(out, run)
    results = require_results(run)
    loaded = load_run(run.path, trust_modules=trust_modules)
    data = data_of(loaded.config, loaded.classes)
    selection = _selection(loaded)
    made = onnx_model(loaded.model, loaded.image_size, selection, open_size)
    contract = _contract(run, results, loaded, licence, selection, open_size)
    new = out.with_name(f".{out.stem}.{os.getpid()}.tmp.onnx")
    rejected = out.with_name(f"{out.stem}.{REJECTED}.onnx")
    try:
        write_bytes(new, with_contract(made, contract))
        verdict = judge(Exported(new), loaded, data, "val", "onnx, float32", Budget(), open_size)
        place = out if verdict.passed else rejected
        for stale in (rejected, *_verdicts(rejected), *_verdicts(place)):
            stale.unlink(missing_ok=True)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
    verdict = replace(verdict, file=place.name)
    as_json, as_html = _verdicts(place)
    write_json(as_json, verdict.as_json())
    write_text(as_html, verdict.as_html())
    return place, verdict


def _verdicts(place: Path) -> tuple[Path, Path]:
    return place.with_suffix(".verdict.json"), place.with_suffix(".verdict.html")


def _require_free(out: Path, run: RunFolder) -> None:
    """Raises LightdetError for a name that is none of an ONNX file, and for a file that is no export of this run."""
    if not is_exported(out):
        raise LightdetError(f"--out {out}: the name of a file that ends in .onnx belongs here")
    if out.is_symlink() or out.exists():
        same = False
        with suppress(LightdetError):
            known = hashes_of(run)["run"]
            same = not out.is_symlink() and bool(known) and Exported(out).contract.content["hashes"]["run"] == known
        if not same:
            raise LightdetError(f"{out}: exists and is no earlier export of this run; give another name, --out")


def _selection(loaded: LoadedRun) -> Selection | None:
    model = loaded.model
    if not isinstance(model, DenseDetector):
        return None
    count = len(loaded.classes)
    least = [NO_THRESHOLD if loaded.threshold is None else loaded.threshold] * count
    if loaded.promise is not None:
        least = loaded.promise.least(count)
    return Selection(least, model.nms_iou, OVERLAP, model.max_detections)


def _contract(
    run: RunFolder,
    results: dict[str, Any],
    loaded: LoadedRun,
    licence: str | None,
    selection: Selection | None,
    open_size: bool,
) -> dict[str, Any]:
    config = loaded.config
    split = "train" if OmegaConf.select(config, "trainer.overfit_batches") else "val"
    bits = OmegaConf.select(config, "data.bits")
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "task": declared(run)["task"],
        "licence": licence,
        "classes": list(loaded.classes),
        "input": {
            "name": "images",
            "layout": "uint8 (images, height, width, channels)",
            "image_size": plain_size(loaded.image_size),
            "open_size": open_size,
            "channels": in_channels(loaded.model.network),
            "bits": bits,
            "one_image": takes_one_image(loaded.model),
            **PLACING,
            "range": [0, 255],
            "placing": "scale x, scale y, left, top, original width, original height" if selection else None,
        },
        "output": _output(loaded, selection),
        KEY: None if loaded.promise is None else loaded.promise.as_json(),
        "measured": measured(run, results, split),
        "titles": declared(run)["scores"],
        "model": {
            "options": options_of(run),
            "parameters": sum(parameter.numel() for parameter in loaded.model.network.parameters()),
        },
        "hashes": hashes_of(run),
        "provenance": {**made_by(run), "seed": config.seed, "epoch": loaded.epoch},
    }


def _output(loaded: LoadedRun, selection: Selection | None) -> dict[str, Any]:
    if selection is not None:
        return {
            "name": "detections",
            "columns": ["left", "top", "right", "bottom", "score", "label"],
            "frame": "original px",
            "unused_rows": "label -1",
            "thresholds": list(selection.thresholds),
            "nms_iou": selection.nms_iou,
            "overlap": selection.overlap,
            "max_detections": selection.max_detections,
        }
    model: Any = loaded.model
    return {
        "name": "probabilities",
        "costs": cost_matrix(model.costs, loaded.classes).tolist(),
        "decision": model.decision,
        "good": model.good,
    }


def rejection(place: Path, verdict: Verdict) -> LightdetError:
    """What the command says of a file that failed."""
    return LightdetError(f"{place}: rejected; {'; '.join(verdict.reasons())}")
