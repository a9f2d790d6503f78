"""The commands as Python functions: train, load, evaluate, compose, build.

Arguments are overrides as on the command line, `lightdet.train("model=light", "seed=1")`. What the user can correct is
raised as a `LightdetError` of one line. Torch is imported by the functions that need it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict

from lightdet.config.refusals import is_user_error, reason
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_metrics
from lightdet.core.import_path import share_import_path
from lightdet.core.temporary import settle_temporary_folder
from lightdet.ops.flips import flips_named
from lightdet.runs.find import find_model
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import evaluation_folder

if TYPE_CHECKING:
    from lightdet.engine.predictor import Predictor
    from lightdet.model.contract import Model

_training = threading.Lock()  # the random numbers and the composition belong to the whole process


class Run:
    """A training on disk, done or not. Its files are read at each access."""

    def __init__(self, path: Path | str) -> None:
        """`path` is a run folder, `.../s<seed>`."""
        self.path = Path(path)
        self._folder = RunFolder(self.path)

    @property
    def status(self) -> dict[str, Any]:
        """status.json: "state" (queued, running, done, failed, killed or pruned), "reason", "fingerprint", ..."""
        return self._folder.read_status()

    @property
    def results(self) -> dict[str, Any]:
        """results.json: "metrics" of the best checkpoint on the validation split, "best_epoch", ...; {} until done."""
        return self._folder.read_results()

    @property
    def metrics(self) -> list[dict[str, float | None]]:
        """metrics.csv: one row per epoch, log name -> number; None where it is not measured in that epoch."""
        rows = read_metrics(self._folder.metrics_csv)
        return [{name: float(text) if text else None for name, text in row.items()} for row in rows]

    def load(
        self,
        device: str = "cpu",
        threshold: float | None = None,
        checkpoint: str = "best",
        overlap: float = 0.5,
        trust_modules: bool = False,
        stage2: RunLike | None = None,
        stage2_label: str | None = None,
        flips: str | None = None,
    ) -> Predictor:
        """`lightdet.load` of this run."""
        return load(self, device, threshold, checkpoint, overlap, trust_modules, stage2, stage2_label, flips)

    def export(
        self,
        out: Path | str | None = None,
        format: str = "package",
        licence: str | None = None,
        trust_modules: bool = False,
        precision: str = "float32",
        open_size: bool = False,
    ) -> Path:
        """Writes the model to pass on, as `lightdet export` does; returns the folder of a package, or the file.

        out: the folder or file; None: RUN/package, RUN/model.onnx, ... format, precision: one of those that the command
        lists. licence: the terms for others. trust_modules: as for `load`. open_size: the file takes images of other
        sizes than the training's, too. Raises LightdetError for a run without results, an unknown format, an `out` that
        holds anything else, and a file that fails a check: it is kept as rejected.
        """
        from lightdet.export.command import Asked, export_run

        place = None if out is None else Path(out)
        with one_line_errors():
            (written,) = export_run(self.path, Asked([format], [precision], place, licence, open_size, trust_modules))
            if written.failure:
                raise LightdetError(written.failure)
            return written.place

    def __repr__(self) -> str:
        status = self.status
        state = [str(status[key]) for key in ("state", "reason") if key in status] or ["no status"]
        numbers = self.results.get("metrics") or {}
        shown = [f"{title} {numbers[key]:.3f}" for key, title in _titles(self._folder) if _is_number(numbers.get(key))]
        return f"<Run {self.path}: {', '.join([*state, *shown])}>"


RunLike = Run | RunFolder | Path | str


def train(*words: str, config_dir: Path | str | None = None) -> Run:
    """Train one run, as `lightdet train WORDS` does, and return it; one that is done is not trained again.

    `config_dir` is a folder with further config groups. A run that was interrupted continues. Trainings of several
    threads of one process run one after another. Raises LightdetError for invalid overrides, before a folder is
    made, and for data or settings that cannot be trained with; the run's status is then "failed".
    """
    from lightdet.study.single import train_words

    _refuse_sweep(words)
    with _training, one_line_errors():
        return Run(train_words(words, _folder_of(config_dir)).path)


def load(
    run: RunLike,
    device: str = "cpu",
    threshold: float | None = None,
    checkpoint: str = "best",
    overlap: float = 0.5,
    trust_modules: bool = False,
    stage2: RunLike | None = None,
    stage2_label: str | None = None,
    flips: str | None = None,
) -> Predictor:
    """The trained model of a run or a package: call it on images to get their results in original px.

    run: a `Run`, a run folder, the name of a study with one run, "last", or the folder of a model package. threshold:
    least score that is reported; None: the run's best F1 on its validation split. checkpoint: "best" or "last".
    overlap: IoU above which the lower scored of two boxes is dropped. trust_modules: run the code of modules outside
    lightdet that the run names, which is for a folder that you know. stage2: the run of a classifier that judges the
    boxes of a detector; stage2_label: who names their class, "classifier" (None) or "detector". flips:
    "horizontal", "vertical" or "both": images are shown to the network turned over as well. Raises LightdetError for
    code that is not trusted, where there is no such run, device or checkpoint, and for stages that do not fit.
    """
    from lightdet.engine.predictor import load_predictor
    from lightdet.engine.two_stage import stage2_of

    with one_line_errors():
        second = stage2_of(None if stage2 is None else _path_of(stage2), stage2_label)
        how = checkpoint, device, threshold, overlap, trust_modules, second
        return load_predictor(_path_of(run), *how, flips=flips_named(flips))


def evaluate(
    run: RunLike,
    split: str = "val",
    *overrides: str,
    threshold: float | None = None,
    checkpoint: str = "best",
    device: str = "cpu",
    out: Path | str | None = None,
    trust_modules: bool = False,
    stage2: RunLike | None = None,
    stage2_label: str | None = None,
    tiles: int | bool | None = None,
    flips: str | None = None,
) -> dict[str, Any]:
    """The metrics of a run or a package on a split of data, as `lightdet evaluate` measures them.

    overrides: values of the run's config under data and model, "data.reader.root=FOLDER"; another dataset, which a
    package needs, "data=voc". threshold: least score for what counts boxes; None: the best F1 on this split. out: where
    metrics.json, curves and pictures go; None: RUN/evaluate-SPLIT, or PACKAGE-evaluate-SPLIT in the working directory,
    with -stage2, -tiles or -flips at the end where there are any. trust_modules, stage2, stage2_label, flips: as for
    `load`; tiles: as for a call of the `Predictor`. Raises LightdetError for an unknown run, split or override, for
    code that is not trusted, for data of other classes, and for stages that do not fit.
    """
    from lightdet.engine.evaluate_run import evaluate_run
    from lightdet.engine.two_stage import stage2_of

    with one_line_errors():
        path = _path_of(run)
        second = stage2_of(None if stage2 is None else _path_of(stage2), stage2_label)
        besides = {"stage2": second, "tiles": tiles, "flips": flips}
        folder = evaluation_folder(path, split, **besides) if out is None else Path(out)
        how = checkpoint, device, overrides, trust_modules, second, tiles, flips_named(flips)
        return evaluate_run(path, folder, split, threshold, *how)


def compose(*words: str, config_dir: Path | str | None = None) -> DictConfig:
    """The configuration that `lightdet train WORDS` trains with, interpolations kept; judged as for a training.

    Raises LightdetError for invalid overrides.
    """
    from lightdet.study.single import single_config

    _refuse_sweep(words)
    with one_line_errors():
        cfg = single_config(words, _folder_of(config_dir))
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def build(
    *words: str,
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    config_dir: Path | str | None = None,
) -> Model:
    """The untrained model that the words describe, on the CPU, in training mode, for `classes` or `num_classes`.

    Its weights are drawn from torch's random numbers, or fetched where the model is pretrained; anchors are those of
    the configuration, not fitted to data. Raises LightdetError for overrides that describe no model.
    """
    if (classes is None) == (num_classes is None):
        raise LightdetError("build: give either classes=[...] or num_classes=N")
    count = num_classes if classes is None else len(classes)
    if not isinstance(count, int) or count < 1:
        raise LightdetError(f"build: {count} classes; give at least one")
    cfg = compose(*words, config_dir=config_dir)
    from lightdet.engine.load import build_model

    with one_line_errors():
        return build_model(cfg, count)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Makes modules of the working directory importable; an error that the user can correct becomes a LightdetError."""
    share_import_path()
    settle_temporary_folder()
    try:
        yield
    except Exception as error:
        if isinstance(error, LightdetError) or not is_user_error(error):
            raise
        raise LightdetError(reason(error)) from error


def _refuse_sweep(words: Sequence[str]) -> None:
    """Raise LightdetError for flags, and for words with several values: a sweep trains in separate processes."""
    parser = OverridesParser.create()
    for word in words:
        if not isinstance(word, str) or word.startswith("-"):
            raise LightdetError(f"{word}: give overrides such as 'model=light'; flags are the command line's")
        try:
            sweeps = parser.parse_override(word).is_sweep_override()
        except HydraException:
            continue  # composition names what is wrong
        if sweeps:
            raise LightdetError(
                f"{word}: several values; call train once for each, or sweep with `lightdet train -m {' '.join(words)}`"
            )


def _path_of(run: RunLike) -> Path:
    return run.path if isinstance(run, Run | RunFolder) else find_model(run)


def _folder_of(config_dir: Path | str | None) -> Path | None:
    return None if config_dir is None else Path(config_dir)


def _titles(folder: RunFolder) -> list[tuple[str, str]]:
    """(key, title) of the run's scores, the primary one first."""
    from lightdet.runs.scores import scores_of

    scores = [score for score in scores_of(folder) if not score.per_class]
    return [(score.key, score.title) for score in sorted(scores, key=lambda score: not score.primary)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
