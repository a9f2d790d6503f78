"""How strong each term of a distillation is beside the detector's own loss, on augmented training batches.

    python experiments/distill/gains.py data=neu_det model=light recipe=light image_size=224 width=0.09375 \
        "distill=[cwd,predictions]" teacher=RUN --student checkpoints/last.ckpt --adapters 80

Of each term: its value, the length of its gradient in the student's backbone and neck over that of the detector's own
loss, and the cosine between the two. `--student`: weights of a checkpoint; without, untrained ones. `--adapters`:
steps in which the adapters alone are trained before.
"""

import argparse
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from lightdet.config.compose import compose_config
from lightdet.engine.build import build
from lightdet.engine.distillation import distillations
from lightdet.engine.load import load_weights
from lightdet.runs.teachers import settle_teachers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+")
    parser.add_argument("--student", type=Path)
    parser.add_argument("--adapters", type=int, default=0)
    parser.add_argument("--batches", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cfg = settle_teachers(compose_config([*args.words, "data.num_workers=0"]))
    parts = build(cfg, torch.device("cpu"), weights_follow=False)
    model, data = parts.model, parts.data
    if args.student:
        load_weights(model, args.student)
    terms = distillations(cfg, model, data.classes)
    model.train()
    adapters = [parameter for term in terms for parameter in term.parameters()]
    optimizer = torch.optim.AdamW(adapters, lr=2e-3) if adapters else None
    for batch in islice(data.train_dataloader(), args.adapters if optimizer else 0):
        batch = batch.to("cpu")
        with torch.no_grad():
            model.network(batch.images)
        loss = torch.stack([value for term in terms for value in term.losses(model, batch).values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    shared = [each for name, each in model.network.named_parameters() if name.startswith(("backbone", "neck"))]
    measured: dict[str, list[tuple[float, ...]]] = {}
    for batch in islice(data.train_dataloader(), args.batches):
        batch = batch.to("cpu")
        own = torch.stack(tuple(model.losses(batch.images, batch.targets).values())).sum()
        reference = gradient(own, shared)
        values = {"own": own} | {name: value for term in terms for name, value in term.losses(model, batch).items()}
        for name, value in values.items():
            mine = gradient(value, shared)
            cosine = torch.cosine_similarity(mine, reference, dim=0)
            numbers = (float(value.detach()), float(mine.norm() / reference.norm()), float(cosine))
            measured.setdefault(name, []).append(numbers)
    for name, rows in measured.items():
        value, share, cosine = torch.tensor(rows).mean(dim=0).tolist()
        print(f"{name:22} value {value:8.3f}  gradient over the detector's {share:6.3f}  cosine {cosine:+.3f}")


def gradient(value: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([each.flatten() for each in found])


if __name__ == "__main__":
    main()
