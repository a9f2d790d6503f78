"""The lines that are printed before the first step of a training."""

from omegaconf import DictConfig, OmegaConf

from lightdet.core.shown import shown
from lightdet.engine.build import Parts
from lightdet.engine.few_steps import few_steps
from lightdet.ops.grid import size_text
from lightdet.runs.folder import RunFolder


def announce(cfg: DictConfig, parts: Parts, cost: dict[str, float], machine: str, folder: RunFolder) -> None:
    """Prints the model's size, the data, the optimizer settings and the device."""
    data, model = parts.data, parts.model
    counts = ", ".join(f"{len(records)} {name}" for name, records in data.records.items())
    lines = {
        "model": f"{cost['parameters']:,} parameters, {cost['gflops']:.2f} GFLOPs at {size_text(cfg.image_size)}",
        **model.notes(),
        "data": "; ".join(filter(None, (f"{counts} images, {data.num_classes} classes", parts.prepared))),
        "training": f"{cfg.trainer.max_epochs or 'no'} epochs on {machine}, {batch_text(cfg)}, seed {cfg.seed}",
    }
    if rule := OmegaConf.select(cfg, "data.label"):
        lines["labels"] = f"the class of an image from its boxes or mask: data.label={rule}"
    if line := few_steps(cfg, len(data.records["train"])):
        lines["steps"] = line
    lines["folder"] = str(folder.path)
    print("\n".join(f"  {title:<11}{shown(line)}" for title, line in lines.items()), flush=True)


def batch_text(cfg: DictConfig) -> str:
    """Images of an optimizer step, and the batches and ranks that share them: "batch 32 (2 batches x 2 ranks x 8)"."""
    ranks, batches = cfg.trainer.devices * cfg.trainer.nodes, cfg.trainer.accumulate
    factors = [f"{batches} batches"] * (batches > 1) + [f"{ranks} ranks"] * (ranks > 1)
    shares = f" ({' x '.join([*factors, str(cfg.data.batch_size // ranks)])})" if factors else ""
    return f"batch {cfg.data.batch_size * batches}{shares}"
