"""`lightdet explain RUN --measure`: how much the explanations of a run are worth, in numbers."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.core.paths import is_inside, refuse_links_out
from lightdet.core.progress import watched
from lightdet.core.shown import shown
from lightdet.data.record import Record, doubts_of
from lightdet.engine.evaluate_run import in_order_of, warn_of_trained_images
from lightdet.engine.load import LoadedRun, load_run
from lightdet.engine.other_data import NO_DATA
from lightdet.engine.picture_files import check_free
from lightdet.engine.predictor import DEFAULT_OVERLAP, DEFAULT_THRESHOLD, Predictor
from lightdet.explain.cases import Cases, cases_of, spread
from lightdet.explain.compare import RESAMPLES, compared
from lightdet.explain.contract import Method
from lightdet.explain.measure import CHECKS, NOISE, SCORES, Measured, measure, usable
from lightdet.explain.scores import STEPS, TOLERANCE
from lightdet.explain.tables import as_csv, as_markdown, as_text
from lightdet.model.folded import folded

MADE_BY = "lightdet explain --measure"
FACTS, TABLE, VALUES = "explain.json", "table.md", "table.csv"


def measure_run(
    run: Path,
    out: Path,
    methods: Mapping[str, Method],
    split: str = "val",
    images: int = 100,
    checked: int = 24,
    threshold: float | None = None,
    checkpoint: str = "best",
    device: str = "cpu",
    overrides: Sequence[str] = (),
    trust_modules: bool = False,
) -> dict[str, Any]:
    """Measure the methods on images of a split; write explain.json, table.md and table.csv; return the first's content.

    `images`: at most so many, evenly over the split. `checked`: cases for stability and sanity. `overrides` change the
    data and the model of the run's config. Methods that cannot explain this model are told. Raises LightdetError where
    none remains but trivial maps, for a split without right predictions, and as `load_run` does.
    """
    if out.is_relative_to(run):  # a received run may hold it, and links in it
        if not is_inside(out, run):
            raise LightdetError(f"{out}: a link that leads out of {run}; give another folder with --out")
        refuse_links_out(out)
    check_free(out, (), (FACTS, TABLE, VALUES), MADE_BY, (FACTS,))
    loaded = load_run(run, checkpoint, device, overrides, trust_modules)
    least = next((each for each in (threshold, loaded.threshold) if each is not None), DEFAULT_THRESHOLD)
    bits = OmegaConf.select(loaded.config, "data.bits")
    model = folded(loaded.model, loaded.image_size)
    predictor = Predictor(model, loaded.classes, loaded.image_size, least, DEFAULT_OVERLAP, bits, device)
    records = spread(_split(run, loaded, split), images)
    warn_of_trained_images(run, split, [record.image_id for record in records])
    cases = Cases()
    for record in watched(records, len(records), "images"):
        cases_of(predictor, record, cases)
    if not cases.cases:
        raise LightdetError(f"{run}: none of {len(records)} images in '{split}' has a right prediction to explain")
    able, reasons = usable(methods, predictor.model, cases.cases[0])
    for name, why in reasons.items():
        if methods[name].trivial:
            continue  # measured beside the others without being asked for
        print(f"lightdet: {name} is left out: {shown(why)}", file=sys.stderr)
    if all(method.trivial for method in able.values()):
        raise LightdetError(f"{run}: none of the methods can explain this model; take --method rise")
    progress = partial(watched, total=len(cases.cases), what="explanations")
    found = measure(predictor.model, able, cases.cases, checked, progress)
    facts = _facts(predictor, split, cases, able, found, reasons, checked)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / TABLE, as_markdown(facts))
    write_text(out / VALUES, as_csv(facts))
    write_json(out / FACTS, facts)
    print(as_text(facts))
    return facts


def _split(run: Path, loaded: LoadedRun, split: str) -> list[Record]:
    if "reader" not in loaded.config.data:
        raise LightdetError(f"{run}: {NO_DATA}")
    data = in_order_of(loaded.classes, loaded.config.data)
    data.loader(split)  # refuses one that is not there
    for doubt in doubts_of(data.reader):
        print(f"lightdet: data: {doubt}", file=sys.stderr)
    return data.records[split]


def _facts(
    predictor: Predictor,
    split: str,
    cases: Cases,
    methods: Mapping[str, Method],
    found: Mapping[str, Measured],
    reasons: Mapping[str, str],
    checked: int,
) -> dict[str, Any]:
    labels = np.array([case.subject.label for case in cases.cases])
    images = np.array([case.image for case in cases.cases])
    trivial = [name for name, method in methods.items() if method.trivial]

    def scores_of(chosen: np.ndarray) -> dict[str, dict[str, Any]]:
        """method -> score -> its numbers on the chosen cases."""
        result: dict[str, dict[str, Any]] = {name: {} for name in methods}
        for score in SCORES:
            values = {name: each.values[score.key][chosen] for name, each in found.items()}
            for name, numbers in compared(score, values, images[chosen], trivial).items():
                result[name][score.key] = numbers.as_json()
        return result

    overall = scores_of(np.ones(len(labels), bool))
    by_class = {predictor.classes[label]: scores_of(labels == label) for label in np.unique(labels).tolist()}
    ranked = sorted(methods, key=lambda name: -(overall[name].get("pointing") or {"mean": 0})["mean"])
    return {
        "made_by": MADE_BY,
        "schema": 1,
        "split": split,
        "images": cases.images,
        "cases": len(labels),
        "wrong": dict(cases.wrong),
        "threshold": predictor.threshold,
        "classes": list(by_class),
        "titles": {score.key: score.title for score in SCORES},
        "measured": _measured(split, cases),
        "notes": _notes(min(checked, len(labels))),
        "left_out": dict(reasons),
        "methods": {
            name: {
                "trivial": methods[name].trivial,
                "milliseconds": found[name].milliseconds,
                "scores": overall[name],
                "checks": {key: _mean(found[name].values[key]) for key in CHECKS},
                "per_class": {each: by_class[each][name] for each in by_class if by_class[each][name]},
            }
            for name in ranked
        },
    }


def _measured(split: str, cases: Cases) -> str:
    wrong = cases.wrong.total()
    return (
        f"{len(cases.cases)} right predictions in {cases.images} images of '{split}'; {wrong} wrong "
        f"{'one is' if wrong == 1 else 'ones are'} not explained"
    )


def _notes(checked: int) -> list[str]:
    return [
        f"pointing: the greatest value lies in the object, or at most {TOLERANCE:.0%} of the longer side beside it.",
        "energy / area: share of the map in the object, divided by the object's share of the image.",
        f"deletion (small is good), insertion: mean score while the named pixels become grey, or appear in a blurred "
        f"image, in {STEPS} steps.",
        f"stability: rank correlation with the map under noise of {NOISE:.0%}; sanity: with the maps of models whose "
        f"last part, last half or whole is shuffled, near 0 is good; both on {checked} predictions.",
        f"In brackets 95 % intervals over {RESAMPLES} resamples of the images. A method beats the trivial maps where "
        "the interval of its paired difference to the best of them is on the good side of 0.",
    ]


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
