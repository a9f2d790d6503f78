"""Scores of runs with every layer in int8, as ONNX Runtime computes them, and none kept in float32.

    python experiments/int8/every_layer.py RUN [RUN ...]

For each run a line of JSON: its scores in float32, in int8 by the recipe that an export would take, and the largest
loss of a class in points. It shows what fine-tuning for int8 gives where the export itself would keep layers in
float32.
"""

import json
import sys
from pathlib import Path
from typing import Any

from lightdet.export.int8_trials import _Maker, started
from lightdet.export.onnx_file import onnx_model
from lightdet.export.precisions.int8 import BUDGET
from lightdet.export.source import source_of
from lightdet.export.whole import takes_one_image
from lightdet.model.exported import through_file
from lightdet.nn.inputs import in_channels
from lightdet.runs.folder import RunFolder

SCORES = ("map50_95", "map50", "map75")


def main() -> None:
    for run in sys.argv[1:]:
        source = source_of(RunFolder(Path(run)))
        graph = onnx_model(source.model, source.image_size, source.selection)
        with started(".onnx") as start:
            recipe, _ = _Maker(graph, source, start, BUDGET, outputs=True)._best_recipe()
            session = start(_Maker(graph, source, start, BUDGET, outputs=True)._graph(recipe))
            twin = through_file(
                source.loaded.model, session, in_channels(source.model.network), takes_one_image(source.model)
            )
            rounded = told(source.measured(twin, "int8"))
        whole = told(source.scores)
        lost = [
            (round(100 * (value - rounded["per_class"][name][key]), 2), name, key)
            for name, values in whole["per_class"].items()
            for key, value in values.items()
        ]
        line = {"run": run, "recipe": recipe.words(), "float32": whole, "int8": rounded, "worst": max(lost)}
        print(json.dumps(line), flush=True)


def told(metric: Any) -> dict[str, Any]:
    found = metric.compute(full=False)
    classes = {
        name: {key: round(value, 4) for key, value in values.items() if isinstance(value, float)}
        for name, values in found["per_class"].items()
    }
    return {**{key: round(found[key], 4) for key in SCORES}, "per_class": classes}


if __name__ == "__main__":
    main()
