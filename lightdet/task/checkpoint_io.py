"""How Lightning writes and reads a checkpoint here: atomically, and with a checksum."""

from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightdet.core.checkpoint_file import read_checkpoint, write_checkpoint
from lightdet.core.errors import LightdetError


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, as every other file of a run: when a process dies, the earlier one remains.

    Lightning itself writes into $TMPDIR and moves the file from there. Where that is another filesystem, it is copied
    over the earlier checkpoint, and a process that is killed in that moment has neither.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes it to a path on a disk of this machine; `storage_options` are not used. Raises OSError where the disk
        is full; the earlier checkpoint stays."""
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The content, on the CPU, of tensors and plain values alone. Raises LightdetError for a damaged file."""
        try:
            return read_checkpoint(Path(path))
        except LightdetError as error:
            raise LightdetError(
                f"{error}. To resume without it, delete it: the training begins anew; or put best.ckpt in its place: "
                "the training continues from the best epoch"
            ) from error
