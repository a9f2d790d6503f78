"""Which channels of a network belong together, how much each matters, and their removal. By torch-pruning's graph."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.nn.widths import Widths, widths_of

INSTALL = "pip install 'lightdet[prune]'"


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that can only be removed together: of a layer, of the layers it is added to, and of all readers."""

    layer: nn.Module  # the one that names the group
    function: Any  # of torch-pruning, which removes output channels of that layer
    importance: Tensor  # (C,) of each channel
    blocks: tuple[tuple[int, ...], ...]  # channels apart from others, each block in layers of its own besides
    step: int  # channels of a block stay a multiple of it, so that grouped convolutions stay even


class Channels:
    """The groups of channels of a network that may be removed.

    importance: magnitude, batchnorm or taylor, whose gradients are in the weights. Layers that give the outputs,
    because no other layer reads their channels, and layers of at most `round_to` channels, are not among them. Raises
    LightdetError for a network whose graph cannot be traced, and without torch-pruning.
    """

    def __init__(self, network: nn.Module, image: Tensor, importance: str, round_to: int) -> None:
        self.pruning = _torch_pruning()
        self.round_to = round_to
        score = {
            "magnitude": self.pruning.importance.GroupMagnitudeImportance(p=2),
            "batchnorm": self.pruning.importance.BNScaleImportance(),
            "taylor": self.pruning.importance.GroupTaylorImportance(),
        }[importance]
        try:
            self.graph = self.pruning.DependencyGraph().build_dependency(network, image, output_transform=_sum)
            found = list(self.graph.get_all_groups(ignored_layers=self._fixed(network)))
            scored = [(group, score(group)) for group in found]
        except Exception as error:  # of any kind, from the tracing of a graph
            reason = " ".join(str(error).split())[:160]
            raise LightdetError(f"compress=prune: the graph of this network cannot be traced ({reason})") from error
        self.groups = [
            Group(
                group[0].dep.target.module,
                group[0].dep.handler,
                values.detach().cpu().float(),
                self._blocks(group, len(values)),
                _step(group),
            )
            for group, values in scored
            if values is not None
        ]

    def chosen(self, share: float, scope: str, keep: float) -> list[tuple[Group, list[int]]]:
        """The channels to remove of each group: this share of all, the least important first.

        Every layer keeps at least the share `keep` of its channels, and a multiple of `round_to`.
        """
        everything = torch.cat([group.importance for group in self.groups]).sort().values
        border = everything[min(len(everything) - 1, int(share * len(everything)))]
        chosen = []
        for group in self.groups:
            removed = [each for block in group.blocks for each in self._least(group, block, border, share, scope, keep)]
            if removed:
                chosen.append((group, sorted(removed)))
        return chosen

    def _least(
        self, group: Group, block: Sequence[int], border: Tensor, share: float, scope: str, keep: float
    ) -> list[int]:
        """The channels of a block that are removed."""
        importance = group.importance[list(block)]
        wanted = int((importance < border).sum()) if scope == "global" else int(share * len(block))
        left = max(len(block) - wanted, math.ceil(keep * len(block)), 1)
        multiple = math.lcm(self.round_to, group.step)
        left = min(len(block), multiple * math.ceil(left / multiple))
        order = importance.argsort(stable=True)[: len(block) - left].tolist()
        return [block[place] for place in order]

    def _blocks(self, group: Any, channels: int) -> tuple[tuple[int, ...], ...]:
        """A layer that is added to a concatenation of narrower ones: those must not lose all of their channels."""
        narrower: dict[int, list[int]] = defaultdict(list)
        for number, item in enumerate(group):
            if not self._reads(item) and len(item.root_idxs) < channels:
                for place in item.root_idxs:
                    narrower[place].append(number)
        blocks: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for channel in range(channels):
            blocks[tuple(narrower[channel])].append(channel)
        return tuple(map(tuple, blocks.values()))

    def widths_without(self, network: nn.Module, removed: Sequence[tuple[Group, list[int]]]) -> Widths:
        """The widths of the network without those channels."""
        names = {module: name for name, module in network.named_modules()}
        widths, gone = widths_of(network), defaultdict[tuple[str, int], set[int]](set)
        for group, channels in removed:
            for item in self._whole(group, channels):
                layer = item.dep.target.module
                name = names.get(layer, "")
                if name in widths:
                    reads = self._reads(item) and len(widths[name]) > 1 and getattr(layer, "groups", 1) == 1
                    gone[name, int(reads)].update(item.idxs)  # a group may reach a layer in two ways
        for (name, side), places in gone.items():
            widths[name][side] -= len(places)
        return widths

    def remove(self, removed: Sequence[tuple[Group, list[int]]]) -> None:
        """Takes the channels out of the network, in place."""
        for group, channels in removed:
            self._whole(group, channels).prune()  # looked up anew: the places of channels behind a concatenation move

    def _whole(self, group: Group, channels: Sequence[int]) -> Any:
        return self.graph.get_pruning_group(group.layer, group.function, idxs=list(channels))

    def _reads(self, item: Any) -> bool:
        return bool(self.graph.is_in_channel_pruning_fn(item.dep.handler))

    def _fixed(self, network: nn.Module) -> list[nn.Module]:
        functions = {nn.Conv2d: self.pruning.prune_conv_out_channels, nn.Linear: self.pruning.prune_linear_out_channels}
        fixed = []
        for layer in network.modules():
            function = next((each for kind, each in functions.items() if isinstance(layer, kind)), None)
            if function is None or layer not in self.graph.module2node:
                continue
            group = self.graph.get_pruning_group(layer, function, idxs=[0])
            readers = [
                each.dep.target.module for each in group if self.graph.is_in_channel_pruning_fn(each.dep.handler)
            ]
            narrow = self.graph.get_out_channels(layer) <= self.round_to
            if narrow or not any(isinstance(each, nn.Conv2d | nn.Linear) for each in readers):
                fixed.append(layer)
        return fixed


def _step(group: Any) -> int:
    """Convolutions in groups, each channel with its own filter apart, must keep the same number in each group."""
    steps = [
        item.dep.target.module.groups
        for item in group
        if isinstance(item.dep.target.module, nn.Conv2d)
        and item.dep.target.module.groups not in (1, item.dep.target.module.out_channels)
    ]
    return math.lcm(1, *steps)


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise LightdetError(f"compress=prune needs torch-pruning, which is not installed; {INSTALL}") from error
    return torch_pruning


def _sum(outputs: Any) -> Tensor:
    """One number in which every output takes part."""
    return torch.stack([each.float().sum() for each in _tensors(outputs)]).sum()


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    listed = outputs.values() if isinstance(outputs, Mapping) else outputs
    return [each for output in listed for each in _tensors(output)]
