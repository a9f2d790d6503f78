"""Synchronisation of ranks beyond the average of their gradients."""

import signal
import threading
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import distributed


class SharedBuffers(Callback):
    """Averages every buffer over the ranks after each batch: BatchNorm's running statistics cover all images, and the
    ranks stay equal, their moving averages of the weights included. Before the first batch the buffers of rank 0 are
    broadcast, as the weights are: only rank 0 has fetched pretrained ones.

    Replaces DDP's broadcast before every forward, which would block a validation whose ranks have different numbers of
    batches. To be placed before `Ema`. The sum is computed in float64, so that a buffer which is equal
    everywhere keeps its value to the bit.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for buffer in pl_module.buffers():
            first = buffer.contiguous()
            distributed.broadcast(first, src=0)
            buffer.copy_(first)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        buffers = [buffer for buffer in pl_module.buffers() if buffer.is_floating_point()]
        if not buffers:
            return
        with torch.no_grad():
            together = torch.cat([buffer.flatten().double() for buffer in buffers])
            distributed.all_reduce(together)
            together /= trainer.world_size
            for buffer, mean in zip(buffers, together.split([buffer.numel() for buffer in buffers]), strict=True):
                buffer.copy_(mean.view_as(buffer))


class EndAtSigterm(Callback):
    """SIGTERM ends this process at once.

    Lightning's own handler broadcasts from inside the handler, and so interferes with a collective that other ranks
    wait for.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _end)  # Lightning puts the earlier one back when the training is over


def _end(number: int, frame: object) -> None:
    raise SIGTERMException
