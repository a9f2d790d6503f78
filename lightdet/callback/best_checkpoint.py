"""The best checkpoint of a run whose folder may move between two processes."""

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint

from lightdet.core.score import LOSS, Monitor


class BestCheckpoint(ModelCheckpoint):
    """Writes `<folder>/<filename>.ckpt` when `monitor` is better than ever before.

    Lightning forgets which value was the best when a training continues under another path (a study that was moved, a
    node of a cluster), and a worse epoch would then replace the file. Here the value is kept and the path is updated.
    """

    def __init__(self, folder: Path, filename: str, monitor: Monitor) -> None:
        super().__init__(
            folder,
            filename=filename,
            monitor=monitor.log_name,
            mode=monitor.mode,
            enable_version_counter=False,
            # What is logged at the end of an epoch is not known after the validation before it.
            save_on_train_epoch_end=True if monitor.log_name == LOSS else None,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best value, with the current path of the file."""
        known = state_dict.get("best_model_path")
        if known and self.dirpath is not None:
            path = str(Path(self.dirpath, Path(known).name))
            state_dict = {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": path,
                "kth_best_model_path": path,
                "best_k_models": dict.fromkeys([path], state_dict["best_model_score"]),
                "last_model_path": "",
            }
        super().load_state_dict(state_dict)
