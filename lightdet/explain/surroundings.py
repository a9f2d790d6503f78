"""What the pages of a call share: the run's name, its training images, its attention, and what is left out and why."""

from pathlib import Path

from lightdet.config.refusals import is_user_error
from lightdet.core.errors import LightdetError, one_line
from lightdet.engine.predictor import Predictor
from lightdet.engine.run_data import run_config
from lightdet.explain.contract import Method
from lightdet.explain.measured import BEATS, measured_methods
from lightdet.explain.methods import build_methods, method_names
from lightdet.explain.nearest import TrainingImages
from lightdet.explain.part import Context
from lightdet.explain.training_images import training_images
from lightdet.runs.folder import BEST, LAST, RunFolder

ATTENTION = "attention_map"  # the method that shows what attention modules saw


def context_of(run: Path, predictor: Predictor, checkpoint: str = "best", trust_modules: bool = False) -> Context:
    """The surroundings of a run or a package, whose predictor it is.

    Where the nearest training images cannot be found, as for a package and where the data is elsewhere, a note says so.
    """
    training: TrainingImages | None = None
    notes = []
    try:
        training = _training(run, predictor, checkpoint, trust_modules)
    except Exception as error:  # data elsewhere may be anything
        if not is_user_error(error):
            raise
        notes = [f"The nearest training images are left out: {one_line(error)}"]
    beats: dict[str, str] = {}
    try:
        beats = {line["method"]: line[BEATS] for line in measured_methods(RunFolder(run))}
    except LightdetError as error:
        notes.append(f"What the methods are worth is left out: {error}")
    name = "/".join(run.resolve().parts[-3:])
    return Context(name, predictor, training, _attention(predictor), notes, beats)


def _training(run: Path, predictor: Predictor, checkpoint: str, trust_modules: bool) -> TrainingImages:
    weights = RunFolder(run).checkpoints / (BEST if checkpoint == "best" else LAST)
    return training_images(predictor, run_config(run, trust_modules), weights)


def _attention(predictor: Predictor) -> Method | None:
    """The method, where there is one and the model has something for it to show."""
    if ATTENTION not in method_names() or predictor.model.notes().get("attention", "none") == "none":
        return None
    return build_methods([ATTENTION])[ATTENTION]
