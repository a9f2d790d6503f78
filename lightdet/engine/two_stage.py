"""A loaded detector with a loaded classifier behind it."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lightdet.core.errors import LightdetError
from lightdet.engine.load import LoadedRun, load_run
from lightdet.model.classifier import Classifier
from lightdet.model.detector import Detector
from lightdet.model.folded import folded
from lightdet.model.two_stage import LABELS, TwoStage
from lightdet.runs.exported import is_exported
from lightdet.runs.find import find_model


class Stage2(NamedTuple):
    """The classifier that judges a detector's boxes."""

    run: Path  # of the classifier, or its package or exported file
    label: str = LABELS[0]  # who names the class


def stage2_of(run: Path | str | None, label: str | None = None) -> Stage2 | None:
    """Both words as a person gives them. Raises LightdetError for a label without a run, and where there is no run."""
    if run is None:
        if label is not None:
            raise LightdetError(f"stage2_label={label}: there is no second stage; give stage2=RUN2 as well")
        return None
    return Stage2(find_model(run), label or LABELS[0])


def with_stage2(loaded: LoadedRun, stage2: Stage2, device: str = "cpu", trust_modules: bool = False) -> LoadedRun:
    """The same run, whose boxes the classifier judges; the classifier's BatchNorm is folded.

    Raises LightdetError as `load_run` and `TwoStage` do, where the run is no detector, and where the other one is no
    classifier that decides one class.
    """
    if not isinstance(loaded.model, Detector):
        raise LightdetError(f"stage2={stage2.run}: the first run has no boxes to judge; name a detector's run first")
    judge = load_run(stage2.run, device=device, trust_modules=trust_modules)
    if not isinstance(judge.model, Classifier):
        raise LightdetError(
            f"stage2={stage2.run}: {type(judge.model).__name__} does not decide one class of an image; give a "
            "classifier's run, such as one of model=light_classifier"
        )
    classifier = judge.model if is_exported(stage2.run) else folded(judge.model, judge.image_size)
    names = loaded.classes, judge.classes
    model = TwoStage(loaded.model, classifier, *names, judge.image_size, stage2.label).eval()
    return replace(loaded, model=model, promise=None)
