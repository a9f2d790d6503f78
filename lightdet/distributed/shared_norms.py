"""SyncBatchNorm conversion that keeps timm's fused activation."""

from pytorch_lightning.plugins.layer_sync import LayerSync
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightdet.core.errors import LightdetError
from lightdet.nn.fold import is_timms

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class SharedNorms(LayerSync):
    """Replaces Lightning's own conversion, which silently drops the activation inside timm's BatchNorm, in training and
    in the network that is evaluated afterwards.

    `revert` restores the original modules with the state they have reached since. Raises LightdetError for a
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
            for part in STATE:
                setattr(norm, part, getattr(shared, part))
            model.set_submodule(name, norm.train(shared.training))
        return model
