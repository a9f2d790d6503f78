"""BatchNorm over the batch of all ranks, which loses nothing that a norm does beside normalising."""

from pytorch_lightning.plugins.layer_sync import LayerSync
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightdet.core.errors import LightdetError
from lightdet.nn.fold import is_timms

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
LEARNT = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class SharedNorms(LayerSync):
    """Told to Lightning in place of its own, for which every BatchNorm is one that only normalises: timm's holds an
    activation, which would be dropped without a word, in training and in the network that is measured afterwards.

    `revert` puts the very norms back that `apply` found, with what they have learnt since. Raises LightdetError for a
    BatchNorm of another kind.
    """

    def __init__(self) -> None:
        self._own: dict[str, nn.Module] = {}

    def apply(self, model: nn.Module) -> nn.Module:
        self._own = {name: part for name, part in model.named_modules() if isinstance(part, _BatchNorm)}
        others = [norm for norm in self._own.values() if type(norm) not in PLAIN]
        if unknown := [norm for norm in others if not is_timms(norm)]:
            raise LightdetError(
                f"trainer.sync_batchnorm: {type(unknown[0]).__name__} may do more than normalise, and torch would drop "
                "that when the ranks share their statistics; take trainer.sync_batchnorm=false"
            )
        converted: nn.Module
        if others:
            from timm.layers import convert_sync_batchnorm  # slow to import, but in use already

            converted = convert_sync_batchnorm(model)
        else:
            converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted

    def revert(self, model: nn.Module) -> nn.Module:
        for name, norm in self._own.items():
            shared = model.get_submodule(name)
            for part in LEARNT:
                setattr(norm, part, getattr(shared, part))
            model.set_submodule(name, norm.train(shared.training))
        return model
