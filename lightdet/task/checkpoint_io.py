"""How Lightning writes a checkpoint here: atomically."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightdet.core.files import write_bytes


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, as every other file of a run: when a process dies, the earlier one remains.

    Lightning itself writes into $TMPDIR and moves the file from there. Where that is another filesystem, it is copied
    over the earlier checkpoint, and a process that is killed in that moment has neither. Reading is Lightning's, with
    the trainer's `weights_only`. Raises OSError where the disk is full; the earlier checkpoint stays.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes it to a path on a disk of this machine; `storage_options` are not used."""
        content = io.BytesIO()  # straight into a file, torch would report a full disk as an internal error
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())
