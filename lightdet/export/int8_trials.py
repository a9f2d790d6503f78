"""The int8 form of a run's model that its file's runtime computes best on this machine: a small search over recipes,
then, where the scores demand it, layers that stay in float."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lightdet.benchmark.machine import machine_facts
from lightdet.core.named import named
from lightdet.core.progress import watched
from lightdet.data.image import as_channels
from lightdet.export.budget import Budget
from lightdet.export.calibration import IMAGES, LEAST_ERROR, MINMAX, PERCENTILE, Activations, Run, Start, chosen, placed
from lightdet.export.int8 import Recipe, layers, quantized, tensors
from lightdet.export.lost import compare
from lightdet.export.sensitivity import Effect, answers, effects, errors
from lightdet.export.source import Source
from lightdet.export.verdict import Check
from lightdet.export.whole import takes_one_image
from lightdet.model.detector import DenseDetector
from lightdet.model.exported import BOXES, SCORES, through_file
from lightdet.nn.inputs import in_channels
from lightdet.ops.letterbox import letterbox_image
from lightdet.runs.contract import ids_digest
from lightdet.runs.exported import EXPORTED
from lightdet.runtime.engine.ends import PROBABILITIES

TRIAL_IMAGES = 16  # on which recipes and layers are compared; no ranges are measured on them
KINDS = (Recipe(), Recipe(weight_bits=7), Recipe(signed=True))  # the fastest first
CLIPS = (PERCENTILE, LEAST_ERROR)
CLEARLY = 0.9  # a later recipe is taken if its error is less than this share of an earlier one's
KEPT = (1, 2, 4, 8, 16, 32)  # layers in float that are tried, until the scores are within the budget
MARGIN = 0.85  # of the budget of the scores: the written file differs from a trial in the last digits
NAMED = 5  # layers that the contract names with their effects


@contextmanager
def started(ending: str) -> Iterator[Start]:
    """Runs ONNX graphs in the runtime of files with this ending, with its own choice of threads."""
    with tempfile.TemporaryDirectory() as folder:

        def start(graph: onnx.ModelProto) -> Run:
            path = Path(folder) / "trial.onnx"
            path.write_bytes(graph.SerializeToString())
            engine = named(f"lightdet.runtime.engine.{EXPORTED[ending]}:open_file")(path, None)

            def run(images: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
                height, width = images.shape[1:3]
                places = np.tile(np.array([1, 1, 0, 0, width, height], np.float32), (len(images), 1))
                given = {"images": images, "placing": places}
                found: list[np.ndarray] = engine.run(outputs, {name: given[name] for name in engine.inputs})
                return found

            return run

        yield start


def convert(
    graph: onnx.ModelProto, source: Source, ending: str, budget: Budget
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The graph in int8 for the runtime of files with this ending, and what the contract tells of it.

    Where no mixture of int8 and float is within the budget, the last one is given: the checks then reject it.
    """
    with started(ending) as start:
        maker = _Maker(graph, source, start, budget, outputs=EXPORTED[ending] == "onnxruntime")
        return maker.make()


class _Maker:
    """Makes the int8 form of one graph. outputs: see `Recipe`."""

    def __init__(self, graph: onnx.ModelProto, source: Source, start: Start, budget: Budget, outputs: bool) -> None:
        self.graph, self.source, self.start, self.budget, self.outputs = graph, source, start, budget, outputs
        self.raw = (BOXES, SCORES) if isinstance(source.model, DenseDetector) else (PROBABILITIES,)
        self.records = chosen(source.data.records["train"], IMAGES + TRIAL_IMAGES)
        images = placed(self.records, self._place)
        many = len(images) > 2 * TRIAL_IMAGES
        self.trial = images[-TRIAL_IMAGES:]
        self.expected = answers(start(graph), self.trial, self.raw)
        self.activations = Activations(graph, tensors(graph), images[:-TRIAL_IMAGES] if many else images, start)

    def make(self) -> tuple[onnx.ModelProto, dict[str, Any]]:
        recipe, tried = self._best_recipe()
        mixed, found, kept = self._within_budget(recipe)
        told = {
            "weights": f"int8 per output channel ({recipe.weight_bits} bits)",
            "activations": "int8" if recipe.signed else "uint8",
            "float32": "what is no convolution, and the layers kept",
            "recipe": mixed.as_json(),
            "recipes_tried": tried,
            "layers": len(layers(self.graph)),
            "effects": [{"layer": each.layer, "error": each.error, "class": self._worst(each)} for each in found],
            "layers_in_float_tried": kept,
            "calibration": {
                "split": "train, not augmented",
                "images": len(self.records),
                "ids": ids_digest([record.image_id for record in self.records]),
            },
            "made_on": machine_facts(),
        }
        return self._graph(mixed), told

    def _place(self, pixels: np.ndarray) -> np.ndarray:
        channels = in_channels(self.source.model.network)
        return letterbox_image(as_channels(pixels, channels), self.source.image_size)[0]

    def _graph(self, recipe: Recipe) -> onnx.ModelProto:
        return quantized(self.graph, self.activations.ranges(recipe.clip), self.activations.means, recipe)

    def _best_recipe(self) -> tuple[Recipe, list[dict[str, Any]]]:
        """The recipe whose raw outputs are nearest to the model's on the trial images, and the error of each."""
        found: dict[Recipe, float] = {}

        def best_of(recipes: Sequence[Recipe]) -> Recipe:
            for recipe in watched(recipes, len(recipes), "int8 recipes"):
                given = answers(self.start(self._graph(recipe)), self.trial, self.raw)
                found[recipe] = float(errors(self.expected, given).mean())
            best, *others = found
            for other in others:
                best = other if found[other] < CLEARLY * found[best] else best
            return best

        kind = best_of([replace(each, outputs=self.outputs, clip=MINMAX) for each in KINDS])
        best = best_of([replace(kind, clip=clip) for clip in CLIPS])
        errors_found = {recipe: error if np.isfinite(error) else None for recipe, error in found.items()}
        return best, [{"recipe": recipe.words(), "error": error} for recipe, error in errors_found.items()]

    def _within_budget(self, recipe: Recipe) -> tuple[Recipe, list[Effect], list[dict[str, Any]]]:
        """The recipe with as few layers in float as the budget of the scores allows, of those that are tried; the
        effects of the layers that lose most; what each number of layers in float gave."""
        mixed, steps = recipe, [self._step(recipe)]
        if steps[-1]["passed"]:
            return recipe, [], steps
        found = effects(self.graph, self.trial, self.expected, self.activations, recipe, self.start, self.raw)
        for count in (count for count in KEPT if count < len(found)):
            mixed = replace(recipe, kept=tuple(each.layer for each in found[:count]))
            steps.append(self._step(mixed))
            if steps[-1]["passed"]:
                return mixed, found[:NAMED], steps
        return mixed, found[:NAMED], steps

    def _step(self, recipe: Recipe) -> dict[str, Any]:
        run = self.start(self._graph(recipe))
        checks = self._apart(run)
        if all(check.passed for check in checks):
            checks += self._lost(run, f"int8, {len(recipe.kept)} layers in float")
        passed = all(check.passed for check in checks)
        return {"in_float": len(recipe.kept), "passed": passed, "found": [check.found for check in checks]}

    def _apart(self, run: Run) -> list[Check]:
        """The largest difference of a score on the trial images, which the gate looks at first."""
        expected, given = self.expected[-1], answers(run, self.trial, self.raw)[-1]
        largest = float(np.abs(expected - given).max())
        return [Check("raw outputs", largest <= self.budget.score, f"{largest:.2g} of score", "")]

    def _lost(self, run: Run, word: str) -> list[Check]:
        source = self.source
        twin = through_file(source.loaded.model, run, in_channels(source.model.network), takes_one_image(source.model))
        file, images = source.measured(twin, word), len(source.data.records[source.split])
        budget = replace(
            self.budget, overall=MARGIN * self.budget.overall, worst_class=MARGIN * self.budget.worst_class
        )
        return compare(source.scores, file, source.split, images, budget)

    def _worst(self, effect: Effect) -> str:
        return str(self.source.loaded.classes[int(np.argmax(effect.classes))])
