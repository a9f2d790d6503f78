"""Options that lie outside the package, through the command line: an attention, a backbone, a reader, a whole model.

The modules and their option files lie in an empty folder and are swept together; `test_callback_group.py` and
`test_experiment.py` do the same for callbacks and experiments, `test_third_task.py` for a task.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_end_to_end import TINY

from lightdet.cli.main import main
from lightdet.core.files import read_json

MODULE = '''
import json
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lightdet.core.annotation import Boxes
from lightdet.core.types import Detections
from lightdet.data.record import Record
from lightdet.model.detector import Detector
from lightdet.nn.contracts import Backbone


class Scale(nn.Module):
    """An attention: the first argument is the number of channels."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), start))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * self.scale


class Pools(Backbone):
    """A backbone of one convolution per map."""

    channels = (8, 12, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 12, 2, 2), nn.Conv2d(12, 16, 2, 2)])

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps


class Squares:
    """A reader: white squares on black, drawn into a folder."""

    classes = ("square",)

    def __init__(self, root: str, count: int) -> None:
        self.root, self.count = Path(root), count

    def read(self) -> dict[str, list[Record]]:
        self.root.mkdir(exist_ok=True)
        return {split: [self.record(split, n) for n in range(self.count)] for split in ("train", "val", "test")}

    def record(self, split: str, number: int) -> Record:
        path, image = self.root / f"{split}{number}.png", np.zeros((64, 64), np.uint8)
        image[10:30, number : number + 20] = 255
        if not path.exists():
            half = path.with_suffix(f".{os.getpid()}.png")
            cv2.imwrite(str(half), image)
            half.rename(path)
        box = np.array([[number, 10, number + 20, 30]], np.float32)
        return Record(path.name, path, Boxes(box, np.zeros(1, np.int64)))


class Middle(Detector):
    """A whole detector: one box per image, a square around a point that the network predicts."""

    def __init__(self, num_classes: int, side: float) -> None:
        super().__init__()
        self.side, self.num_classes = side, num_classes
        pool = nn.AdaptiveAvgPool2d(4)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), pool, nn.Flatten(), nn.Linear(64, 2))

    def losses(self, images, targets):
        centres = torch.stack([(t.boxes_xyxy[0, :2] + t.boxes_xyxy[0, 2:]) / 2 for t in targets])
        return {"centre": functional.mse_loss(self.network(images).sigmoid() * images.shape[-1], centres)}

    def detect(self, images):
        centres = self.network(images).sigmoid() * images.shape[-1]
        boxes = torch.cat((centres - self.side / 2, centres + self.side / 2), 1)
        one, first = images.new_ones(1), torch.zeros(1, dtype=torch.int64, device=images.device)
        return [Detections(box[None], one, first) for box in boxes]
'''
FILES = {
    "attention/scale": "# @package model.network\nattention: {_target_: my_parts.Scale, _partial_: true, start: 1.0}\n"
    "head: ${head}\n",
    "backbone/pools": "# @package model.network.backbone\n_target_: my_parts.Pools\n",
    "data/squares": "defaults: [base]\nreader: {_target_: my_parts.Squares, root: squares, count: 8}\n",
    "model/middle": "_target_: my_parts.Middle\nnum_classes: ${num_classes}\nside: 20.0\n",
}
WORDS = [word for word in TINY if not word.startswith(("data.reader.", "width="))]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder but for the module and its option files, as the working directory."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_parts.py").write_text(MODULE)
    for name, text in FILES.items():
        (folder / f"options/{name}.yaml").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"options/{name}.yaml").write_text(text)
    before, path = Path.cwd(), list(sys.path)
    os.chdir(folder)
    yield folder
    os.chdir(before)
    sys.path[:] = path
    sys.modules.pop("my_parts", None)


def train(*words: str) -> int:
    return main(["train", "--config-dir", "options", "data=squares", *WORDS, *words])


def test_an_attention_a_backbone_and_a_reader_are_swept_together(outside: Path) -> None:
    words = ["attention=scale,none", "backbone=pools,spp_darknet", "width=0.02", "study=parts"]
    assert train("-m", *words) == 0
    jobs = [read_json(path) for path in Path("runs/parts/jobs").glob("*.json")]
    assert {(job["choices"]["attention"], job["choices"]["backbone"], job["choices"]["data"]) for job in jobs} == {
        (attention, backbone, "squares") for attention in ("scale", "none") for backbone in ("pools", "spp_darknet")
    }
    results = [read_json(Path("runs/parts") / job["run"] / "results.json") for job in jobs]
    assert len({result["footprint"]["parameters"] for result in results}) == 4
    assert all(result["metrics"]["images"] == result["test"]["metrics"]["images"] == 8 for result in results)
    assert main(["report", "parts"]) == 0
    assert "pools" in Path("runs/parts/report/report.html").read_text()


def test_a_whole_model_trains_is_evaluated_predicts_and_is_timed(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("model=middle", "name=mine") == 0
    run = Path("runs/single/mine/s0")
    results = read_json(run / "results.json")
    assert results["task"] == "detection" and results["test"]["metrics"]["images"] == 8
    assert main(["evaluate", "mine", "split=test", "device=cpu", "--trust-modules"]) == 0
    assert read_json(run / "evaluate-test/metrics.json")["map50"] == results["test"]["metrics"]["map50"]
    assert main(["predict", "mine", "squares/test0.png", "--out", "predictions", "--trust-modules"]) == 0
    assert read_json(Path("predictions/predictions.json"))["boxes"] == {"square": 1}
    assert main(["benchmark", "mine", "--rounds", "1", "--backends", "eager", "--trust-modules"]) == 0
    assert "eager" in capsys.readouterr().out


@pytest.mark.parametrize("group", ["attention", "backbone"])
def test_a_component_that_a_model_from_outside_lacks_is_one_line(
    outside: Path, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("model=middle", f"{group}={'scale' if group == 'attention' else 'pools'}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"lightdet: {group}: none of the chosen options uses this config group"
