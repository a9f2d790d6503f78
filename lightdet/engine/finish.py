"""The end of a training: what is fitted without gradients, and a run in which nothing else is trained."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch

from lightdet.callback.ema import CHECKPOINT_KEY
from lightdet.callback.metrics_csv import metrics_text
from lightdet.core.checkpoint_file import read_checkpoint, write_checkpoint
from lightdet.core.files import write_text
from lightdet.core.shown import shown
from lightdet.engine.build import Parts
from lightdet.model.contract import Model
from lightdet.runs.folder import BEST, RunFolder


def finish(parts: Parts, folder: RunFolder, device: torch.device, seed: int, few: int | None = None) -> None:
    """Finishes the model, which has its best weights, and puts the result into the best checkpoint.

    `few`: of the training batches, the first; None: all. The weights that a training continues from stay unfinished, so
    a run that is killed at any moment ends at the same numbers.
    """
    model = parts.model.to(device)
    batches = (batch.to(device) for batch in folder.beating(islice(parts.data.loader("train"), few)))
    if said := model.finish(batches, seed):
        checkpoint = folder.checkpoints / BEST
        state = read_checkpoint(checkpoint)
        state[CHECKPOINT_KEY]["weights"] = _weights(model)
        write_checkpoint(state, checkpoint)
        print(f"  finished   {shown(said)}", flush=True)
    folder.beat()


def keep_untrained(model: Model, checkpoint: Path) -> None:
    """Writes the model's first weights where the best ones of a training would be."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    content = {"epoch": 0, "global_step": 0, CHECKPOINT_KEY: {"weights": _weights(model), "steps": 0}}
    write_checkpoint(content, checkpoint)


def write_only_row(values: dict[str, float], folder: RunFolder) -> None:
    """The metrics.csv of a run without epochs: the validation of its end."""
    row = {"epoch": "0", "step": "0", **{name: f"{value:.7g}" for name, value in values.items()}}
    write_text(folder.metrics_csv, metrics_text([row]))


def _weights(model: Model) -> dict[str, Any]:
    return {name: value.detach().cpu() for name, value in model.state_dict().items()}
