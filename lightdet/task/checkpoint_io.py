"""Told to Lightning: how a checkpoint is written."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightdet.core.files import write_bytes


class WholeCheckpoints(TorchCheckpointIO):
    """A checkpoint is whole or not there, as every other file of a run: whoever dies leaves the earlier one.

    Lightning itself writes into $TMPDIR and moves the file from there. Where that is another filesystem, it is copied
    over the earlier checkpoint, and who is killed in that moment has neither. It is read as ever, with `weights_only`
    as the trainer says. Raises OSError where the disk is full; the earlier checkpoint stays.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write it to a path on a disk of this machine; there are no `storage_options`."""
        content = io.BytesIO()  # straight into a file, torch would tell of a full disk as of a defect of its own
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())
