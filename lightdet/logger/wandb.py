"""Weights & Biases, kept at arm's length: whatever happens to it, the training goes on.

What it is told is listed in docs/wandb.md. The same numbers lie in the run folder, which stays the truth.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightdet.data.image import read_photo
from lightdet.logger.run_logger import RunLogger
from lightdet.logger.wandb_mode import decide, without_mode
from lightdet.run import RunFolder

ROWS_PER_STEP = 4  # rows of W&B's history for one optimizer step, at most
PICTURES = 16  # of each kind, at most
PATIENCE = 3  # exceptions after which W&B is let go
_open: list["WandbLogger"] = []  # W&B knows one current run per process


def finish_open_run() -> None:
    """End what is still open, so that the next job of this process gets a run of its own."""
    for logger in list(_open):
        logger.finish()


class WandbLogger(RunLogger):
    """One W&B run per run folder; its id depends on the study, the folder and the fingerprint, so a resumed run
    continues its own.

    `mode`: auto, online, offline, disabled; auto asks WANDB_MODE, then goes online only if a key is found and the host
    answers. `finish_seconds`: how long the end of a run may wait for an upload; what is left stays on
    disk for `wandb sync`.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: dict[str, Any],
        project: str = "lightdet",
        entity: str | None = None,
        mode: str = "auto",
        tags: list[str] | None = None,
        finish_seconds: float = 60.0,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.identity = identity(folder, config)
        self.project = project
        self.entity = entity
        self.asked_mode = mode
        self.tags = tags or []
        self.finish_seconds = finish_seconds
        self.run: Any = None
        self.row = -1
        self.failures = 0
        self._guard(self._start)

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.identity["name"])

    @property
    def version(self) -> str:
        """The run's id."""
        return str(self.identity["id"])

    @property
    def save_dir(self) -> str:
        """W&B makes its folder `wandb/` in here."""
        return str(self.folder.path)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the whole configuration went in at the start."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """A row of the history; its x axis in W&B is `epoch`."""
        if self.run is not None and self.failures < PATIENCE:
            self._guard(lambda: self._log(dict(metrics), step))

    def log_results(self, results: dict[str, Any], folder: RunFolder) -> None:
        """Summary, curves and pictures."""
        if self.run is not None:
            self._guard(lambda: self.run.summary.update(summary(results)))
            self._guard(lambda: self._log(curves(results), None))
            self._guard(lambda: self._log(pictures(results, folder), None))

    def finalize(self, status: str) -> None:
        """Nothing yet: results come after Lightning is through. `finish` ends the run."""

    def finish(self, exit_code: int | None = None) -> None:
        """End the run, waiting at most `finish_seconds` for the upload."""
        if self in _open:
            _open.remove(self)
        run, self.run = self.run, None
        if run is not None:
            self._guard(lambda: run.finish(exit_code=exit_code))

    def _start(self) -> None:
        with without_mode():
            import wandb

            known = wandb.setup(wandb.Settings(silent=True)).settings
            asked = known.mode if known.mode in ("offline", "disabled") and self.asked_mode == "auto" else None
        mode, reason = decide(asked or self.asked_mode, os.environ, known.base_url, known.api_key)
        if mode == "disabled":
            return
        finish_open_run()
        self.folder.path.mkdir(parents=True, exist_ok=True)
        try:
            self.run = self._init(mode)
        except Exception as error:
            reason = f"online it refused: {_line(error)}" if mode == "online" else reason
            with suppress(Exception):  # what is left of the first try would still hold our id
                wandb.teardown(exit_code=0)
            self.run = self._init("offline")
        if reason:
            print(
                f"lightdet: W&B writes offline, {reason}; in the run folder, `wandb sync wandb/offline-run-*` sends it"
            )
        else:
            print(f"lightdet: W&B run {self.run.url}")
        _open.append(self)
        self.run.define_metric("epoch", hidden=True)
        self.run.define_metric("*", step_metric="epoch")

    def _init(self, mode: str) -> Any:
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_disable_stats=True,
            init_timeout=15,
            login_timeout=10,
            finish_timeout=self.finish_seconds,
        )
        told = {key: self.identity[key] for key in ("id", "name", "group")}
        with without_mode():
            return wandb.init(
                **told,
                project=self.project,
                entity=self.entity,
                mode=mode,  # type: ignore[arg-type]
                dir=str(self.folder.path),
                config={**self.identity["choices"], "config": self.config, "run_folder": str(self.folder.path)},
                tags=[*self.identity["tags"], *self.tags],
                resume="allow",
                reinit="finish_previous",
                settings=settings,
            )

    def _log(self, values: dict[str, Any], step: int | None) -> None:
        """W&B drops rows whose number is not above the last one. Counted from the optimizer step, a resumed run gives
        a repeated row the number that it had, so it is dropped or equal, and no other row is lost."""
        if values:
            self.row = max(self.row + 1, ROWS_PER_STEP * (step or 0))
            self.run.log(values, step=self.row, commit=True)

    def _guard(self, action: Callable[[], Any]) -> None:
        """Do it; whatever W&B raises becomes a warning, once."""
        try:
            action()
        except Exception as error:
            self.failures += 1
            if self.failures == 1:
                message = f"W&B failed ({_line(error)}); the training goes on, its numbers are in {self.folder.path}"
                warnings.warn(message, stacklevel=3)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def identity(folder: RunFolder, config: dict[str, Any]) -> dict[str, Any]:
    """What names the run at W&B: id, group (the choices without the seed), name, tags and the choices as columns."""
    status = folder.read_status()
    slug, seed = folder.path.parent.name, folder.path.name
    facts = [status.get("study"), f"{slug}/{seed}", status.get("fingerprint")]
    choices = {key.replace("/", "_"): value for key, value in status.get("choices", {}).items()}
    tags = [str(tag)[:64] for tag in (status.get("study"), choices.get("model"), choices.get("data")) if tag]
    return {
        "id": hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()[:16],
        "group": slug[:128],
        "name": f"{slug}__{seed}"[:128],
        "tags": tags,
        "choices": {**choices, "seed": config.get("seed"), "study": status.get("study")},
    }


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """The columns of W&B's table: best/map50, best/ap50/<class>, footprint/parameters, ..."""
    metrics = results.get("metrics", {})
    columns = {f"best/{name}": metrics.get(name) for name in ("map50", "map75", "map50_95")}
    columns |= {f"best/ap50/{name}": row.get("ap50") for name, row in metrics.get("per_class", {}).items()}
    point = metrics.get("operating_point", {})
    names = ("threshold", "precision", "recall", "f1", "escape_rate", "overkill_rate")
    columns |= {f"best/{name}": point.get(name) for name in names}
    columns |= {"best/epoch": results.get("best_epoch"), "seconds": results.get("seconds")}
    columns |= {f"footprint/{name}": value for name, value in results.get("footprint", {}).items()}
    return {name: value for name, value in columns.items() if value is not None}


def curves(results: dict[str, Any]) -> dict[str, Any]:
    """Precision over recall, a line per class, as a chart of W&B's own."""
    import wandb

    lines = results.get("metrics", {}).get("curves", {})
    if not lines:
        return {}
    chart = wandb.plot.line_series(
        xs=[line["recall"] for line in lines.values()],
        ys=[line["precision"] for line in lines.values()],
        keys=list(lines),
        title="precision over recall",
        xname="recall",
    )
    return {"curves/precision_recall": chart}


def pictures(results: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Photos with boxes to switch on and off, and the pictures that the evaluation drew.

    `results["metrics"]["samples"]`: dicts of image_id, path, boxes [[x1, y1, x2, y2, score, label]] and truth
    [[x1, y1, x2, y2, label]], px in the photo's frame; worst first.
    """
    import wandb

    classes = dict(enumerate(results.get("classes") or results.get("metrics", {}).get("per_class", {})))
    samples = results.get("metrics", {}).get("samples", [])[:PICTURES]
    samples = [sample for sample in samples if Path(sample["path"]).is_file()]
    logged: dict[str, Any] = {}
    if samples:
        logged["predictions"] = [boxed(sample, classes) for sample in samples]
    drawn = sorted(path for path in folder.pictures.glob("*") if path.suffix in (".png", ".jpg"))[:PICTURES]
    if drawn:
        logged["pictures"] = [wandb.Image(str(path), caption=path.stem) for path in drawn]
    for name in ("pr_curve", "confusion"):
        if (folder.path / f"{name}.png").is_file():
            logged[f"curves/{name}"] = wandb.Image(str(folder.path / f"{name}.png"))
    return logged


def boxed(sample: dict[str, Any], classes: dict[int, str]) -> Any:
    """A photo as wandb.Image with two layers of boxes: predictions (with their scores) and truth."""
    import wandb

    def layer(rows: list[list[float]]) -> dict[str, Any]:
        boxes = []
        for left, top, right, bottom, *score, label in rows:
            box: dict[str, Any] = {
                "position": {"minX": left, "minY": top, "maxX": right, "maxY": bottom},
                "domain": "pixel",
                "class_id": int(label),
                "box_caption": classes.get(int(label), str(int(label))) + "".join(f" {value:.2f}" for value in score),
            }
            boxes.append({**box, "scores": {"score": score[0]}} if score else box)
        return {"box_data": boxes, "class_labels": classes}

    layers = {"predictions": layer(sample["boxes"]), "truth": layer(sample["truth"])}
    return wandb.Image(read_photo(Path(sample["path"])), boxes=layers, caption=sample["image_id"], file_type="jpg")
