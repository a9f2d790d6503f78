"""Runs in the environment of Ultralytics, not in lightdet's: its own trainer, an epoch at a time, timed from outside.

Takes one argument, JSON: {"model", "threads", "train": arguments of its `train`}. Waits for a line on standard input
before every epoch; answers after it with a line "@{seconds, images, threads, workers}". Ends when its input ends.
"""

import json
import os
import sys
import time

import torch
import ultralytics

REQUEST = json.loads(sys.argv[1])
BEGAN = {"epoch": 0.0}


def report(**facts: object) -> None:
    print("@" + json.dumps(facts), flush=True)


def set_threads(trainer: object) -> None:
    torch.set_num_threads(REQUEST["threads"])  # its own choice on a small machine is one less than the cores
    report(version=ultralytics.__version__, torch=torch.__version__)


def wait(trainer: object) -> None:
    if not sys.stdin.readline():
        os._exit(0)
    BEGAN["epoch"] = time.perf_counter()


def report_epoch(trainer: object) -> None:
    seconds = time.perf_counter() - BEGAN["epoch"]
    loader = trainer.train_loader
    report(
        seconds=seconds,
        images=len(loader.dataset),
        threads=torch.get_num_threads(),
        workers=loader.num_workers,
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
    )


model = ultralytics.YOLO(REQUEST["model"])
model.add_callback("on_train_start", set_threads)
model.add_callback("on_train_epoch_start", wait)
model.add_callback("on_train_epoch_end", report_epoch)
model.train(**REQUEST["train"])
