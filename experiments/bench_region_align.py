"""What RoIAlign costs a training step of Faster R-CNN on a CPU: lightdet's and torchvision's, forward and backward.

    python experiments/bench_region_align.py --keep

The regions are drawn: as many as a training samples of each image, of 8 px up to the whole image, over the four levels
of the pyramid. Both take turns; what is compared is the ratio within a round.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a bare clone works too

import torch
from bench.publish import command, publish
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from lightdet.benchmark.machine import load, machine_facts
from lightdet.benchmark.report import machine_line, markdown_table, ratio_cell
from lightdet.core.timing import interleaved, paired_ratio, spread
from lightdet.model.region_align import RegionAlign

STRIDES = (4, 8, 16, 32)  # px
CHANNELS = 256
BINS, SAMPLES = 7, 2
SMALLEST = 8.0  # px
KINDS = {"lightdet": RegionAlign, "torchvision": MultiScaleRoIAlign}


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    machine = {"machine": machine_facts(("torch", "torchvision")), "load": load()}
    maps, regions = drawn(options.batch, options.image_size, options.regions)
    calls = {
        (name, step): call
        for name, kind in KINDS.items()
        for step, call in steps(kind, maps, regions, options.image_size).items()
    }
    times = interleaved(calls, options.rounds, warm_up=2)
    cells = [["", "forward, ms", "forward and backward, ms", "ratio of the latter in a round"]]
    for name in KINDS:
        both = paired_ratio(times[name, "both"], times["torchvision", "both"])
        middle = [f"{spread(times[name, step])['median']:.0f}" for step in ("forward", "both")]
        cells.append([name, *middle, ratio_cell(both) if name == "lightdet" else "1"])
    conditions = (
        f"Batch {options.batch} of {options.image_size} px, {options.regions} regions an image, {CHANNELS} channels, "
        f"float32, {options.threads} threads; medians of {options.rounds} rounds, 2 warm-up rounds left out, "
        "quartiles in brackets."
    )
    text = (
        f"## RoIAlign on a CPU\n\n    {command()}\n\n{markdown_table(cells)}\n\n{conditions}\n\n{machine_line(machine)}"
    )
    publish("region-align", text, {}, None, options.keep)


def drawn(batch: int, image_size: int, regions: int) -> tuple[dict[str, Tensor], list[Tensor]]:
    """A pyramid, and boxes (regions, 4) px of each image: centres anywhere, sides even in their logarithm."""
    generator = torch.Generator().manual_seed(0)
    sides = [image_size // stride for stride in STRIDES]
    maps = {
        str(level): torch.randn(batch, CHANNELS, side, side, generator=generator)
        .to(memory_format=torch.channels_last)
        .requires_grad_()
        for level, side in enumerate(sides)
    }
    centres = torch.rand(batch, regions, 2, generator=generator) * image_size
    extents = SMALLEST * (image_size / SMALLEST) ** torch.rand(batch, regions, 2, generator=generator)
    boxes = torch.cat((centres - extents / 2, centres + extents / 2), dim=2).clamp(0, image_size)
    return maps, list(boxes)


def steps(
    kind: type[MultiScaleRoIAlign], maps: dict[str, Tensor], regions: list[Tensor], image_size: int
) -> dict[str, Callable[[], object]]:
    """What is timed of one kind: the call alone, and with the gradients of the maps."""
    pool = kind(list(maps), BINS, SAMPLES)
    sizes = [(image_size, image_size)] * len(regions)

    def forward() -> Tensor:
        pooled: Tensor = pool(maps, regions, sizes)
        return pooled

    def both() -> None:
        pooled = forward()
        torch.autograd.grad(pooled, list(maps.values()), torch.ones_like(pooled))

    return {"forward": forward, "both": both}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=320, help="px")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--regions", type=int, default=512, help="of an image")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="write the table into experiments/bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
