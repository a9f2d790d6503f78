"""Images per second of training, beside Ultralytics' own trainer in its own environment.

Both train on the same images, at the same size and batch, with the same number of threads; loader, augmentation, loss,
optimizer step and averaging of the weights are all inside the clock, validation and checkpoints are not. They take
turns, an epoch each, and what is compared is the ratio within a round. Without `--rival-python`
only lightdet is measured.

    uv venv RIVAL && uv pip install --python RIVAL ultralytics
    RIVAL_PYTHON=RIVAL/bin/python python experiments/bench_training.py
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a bare clone works too

import pytorch_lightning as pl
import torch
from bench.publish import command, publish
from bench.rival import Rival
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.rivals.yolo_files import export_yolo
from lightdet.benchmark.machine import load, machine_facts
from lightdet.benchmark.report import markdown_table, ratio_cell
from lightdet.config.conf_folder import conf_folder
from lightdet.core.score import monitor_of
from lightdet.core.timing import paired_ratio, spread
from lightdet.data.module import ImageData
from lightdet.data.record import Reader, Record
from lightdet.engine.load import build_model
from lightdet.optim.precision import choose, idle_in_float32
from lightdet.runs.folder import RunFolder
from lightdet.task.trainer import build_trainer
from lightdet.task.training_task import TrainingTask

PACKAGES = ("torch", "pytorch-lightning", "albumentations", "opencv-python-headless")
WARM_UP = 2  # rounds that are not counted: caches fill, the first steps allocate


class Some(Reader):
    """A reader that keeps `count` images of the training set, evenly chosen."""

    def __init__(self, reader: Reader, count: int) -> None:
        self.classes = reader.classes
        records = reader.read()["train"]
        step = max(1, len(records) // count)
        self.records: list[Record] = records[::step][:count]

    def read(self) -> dict[str, list[Record]]:
        return {"train": self.records, "val": self.records[:1]}


class Turns(pl.Callback):
    """Times our epochs, and lets the other one train after each."""

    def __init__(self, images: int, other: Callable[[], float] | None) -> None:
        self.images = images
        self.other = other
        self.rounds: list[tuple[float, float]] = []  # images per second, lightdet and the rival
        self._began = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ours = self.images / (time.perf_counter() - self._began)
        theirs = self.other() if self.other else float("nan")
        self.rounds.append((ours, theirs))
        print(f"  round {len(self.rounds)}: {ours:.1f} {theirs:.1f} images/s", file=sys.stderr, flush=True)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    machine = {**machine_facts(PACKAGES), "load before": load()}
    cfg = configuration(options)
    reader = Some(instantiate(cfg.data.reader, _convert_="all"), options.images)
    with tempfile.TemporaryDirectory() as folder:
        rival = start_rival(options, reader, Path(folder))
        try:
            rounds, ours = train(cfg, reader, Path(folder), rival)
        finally:
            if rival:
                rival.close()
    rounds = rounds[WARM_UP:]
    theirs = rival.facts if rival else {}
    facts = {"command": shown_command(options), "machine": machine, "ours": ours, "rival": theirs, "rounds": rounds}
    publish(options.section, report(options, machine, ours, theirs, rounds), facts, options.json, options.keep)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rival-python", type=Path, default=os.environ.get("RIVAL_PYTHON"))
    parser.add_argument("--rival-model", default="yolov5n.yaml")
    parser.add_argument("--rival-set", nargs="*", default=[], metavar="KEY=VALUE", help="more of its train arguments")
    parser.add_argument("--set", nargs="*", default=[], metavar="OVERRIDE", help="more of our Hydra overrides")
    parser.add_argument("--data", default="synthetic", help="an option of conf/data")
    parser.add_argument("--images", type=int, default=320, help="images in an epoch")
    parser.add_argument("--image-size", type=int, default=224, help="px")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--keep", action="store_true", help="replace the section in experiments/bench/README.md")
    parser.add_argument("--section", default="training", help="name of that section")
    return parser.parse_args()


def configuration(options: argparse.Namespace) -> DictConfig:
    overrides = [f"data={options.data}", f"image_size={options.image_size}", f"data.batch_size={options.batch}"]
    overrides += [f"trainer.max_epochs={options.rounds + WARM_UP}", "trainer.limit_val_batches=0"]
    overrides += ["trainer.progress=none", "trainer.device=cpu", *options.set]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("train", overrides=overrides)


def start_rival(options: argparse.Namespace, reader: Some, folder: Path) -> Rival | None:
    if options.rival_python is None:
        return None
    settings: dict[str, Any] = {
        "data": str(export_yolo(dict.fromkeys(("train", "val"), reader.records), reader.classes, folder / "dataset")),
        "imgsz": options.image_size,
        "batch": options.batch,
        "epochs": 1000,  # it is stopped long before, and its closing epochs are not reached
        "device": "cpu",
        "cache": "ram",
        "project": str(folder / "rival"),
        **dict.fromkeys(("val", "plots", "save", "pretrained", "verbose"), False),
    }
    settings |= {key: float(value) for key, value in (pair.split("=", 1) for pair in options.rival_set)}
    home = folder / "home"
    home.mkdir()
    return Rival(options.rival_python.absolute(), options.rival_model, options.threads, settings, home)


def train(
    cfg: DictConfig, reader: Some, folder: Path, rival: Rival | None
) -> tuple[list[tuple[float, float]], dict[str, Any]]:
    """The rounds (images per second: lightdet, rival), and the settings and speed of lightdet."""
    pl.seed_everything(cfg.seed, verbose=False)
    data = ImageData(
        reader,
        instantiate(cfg.augment, _convert_="all"),
        cfg.image_size,
        cfg.data.batch_size,
        cfg.data.num_workers,
        cfg.data.cache_megabytes,
        cfg.seed,
        cfg.trainer.max_epochs,
    )
    data.setup()
    detector = build_model(cfg, data.num_classes)
    detector.prepare(data.training_stats())
    idle_in_float32(detector.network, data.trained_size)
    device = torch.device("cpu")
    choice = choose(device, cfg.trainer.precision, cfg.trainer.channels_last)
    if choice.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    scores = detector.metric(data.classes).scores
    monitor = monitor_of(cfg.trainer.monitor, scores, data.classes)
    trainer = build_trainer(cfg.trainer, RunFolder(folder / "ours"), device, choice, (), monitor, scores)
    images = len(reader.records) // cfg.data.batch_size * cfg.data.batch_size
    turns = Turns(images, rival.images_per_second if rival else None)
    trainer.callbacks.insert(0, turns)  # type: ignore[attr-defined]  # the first to hear of an epoch's start and end
    task = TrainingTask(
        detector, data.classes, instantiate(cfg.optimizer, _convert_="all"), instantiate(cfg.schedule), folder
    )
    trainer.fit(task, datamodule=data)
    about = {
        "precision": str(choice),
        "threads": torch.get_num_threads(),
        "workers": data.num_workers,
        "parameters": sum(parameter.numel() for parameter in detector.network.parameters()),
        "images": images,
    }
    return turns.rounds, about


def shown_command(options: argparse.Namespace) -> str:
    return command({str(options.rival_python): "$RIVAL_PYTHON"})


def report(
    options: argparse.Namespace,
    machine: dict[str, str],
    ours: dict[str, Any],
    theirs: dict[str, Any],
    rounds: Sequence[tuple[float, float]],
) -> str:
    speeds = [spread([pair[side] for pair in rounds]) for side in (0, 1)]
    ratio = ratio_cell(paired_ratio(*zip(*rounds, strict=True)))
    rival_name = f"{options.rival_model} (Ultralytics {theirs.get('version', 'not measured')})"
    more = f" with {', '.join(options.rival_set)}" if options.rival_set else ""
    rows = [
        [" ".join(options.set) or "default: model=proposed", f"{ours['parameters']:,}", *_speed(speeds[0]), ratio],
        [rival_name + more, f"{theirs.get('parameters', 0):,}", *_speed(speeds[1]), "1"],
    ]
    each = [[str(n), f"{a:.1f}", f"{b:.1f}", f"{a / b:.2f}"] for n, (a, b) in enumerate(rounds, 1)]
    lines = [
        f"## Training at {options.image_size} px, batch {options.batch}",
        "",
        "Question: how many images per second does a CPU train, everything but validation included?",
        "",
        f"    {shown_command(options)}",
        "",
        markdown_table([["model", "parameters", "median images/s", "quartiles", "ratio in a round"], *rows]),
        "",
        markdown_table([["round", "lightdet, images/s", "Ultralytics, images/s", "ratio"], *each]),
        "",
        f"Data: {options.data}, {options.images} images in memory. lightdet: {ours['precision']}, "
        f"{ours['workers']} loader workers, {ours['threads']} threads, the allocator as `lightdet train` sets it. "
        f"Ultralytics: its default recipe{more}, float32 on a CPU, {theirs.get('workers')} loader workers (it "
        f"forces that), {theirs.get('threads')} threads, torch {theirs.get('torch')}, default allocator. "
        f"Epochs alternate, {WARM_UP} warm-up rounds left out. Ratio: median (quartiles) over the rounds.",
        "",
        "; ".join(f"{key}: {value}" for key, value in machine.items()) + ".",
    ]
    return "\n".join(lines)


def _speed(found: dict[str, float]) -> list[str]:
    return [f"{found['median']:.1f}", f"{found['q25']:.1f} - {found['q75']:.1f}"]


if __name__ == "__main__":
    main()
