"""A file that places its images itself runs with onnxruntime, numpy and Pillow alone, and finds what the run finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported import Exported, train_and_settle

from lightdet.cli.main import main
from lightdet.engine.predictor import load_predictor
from lightdet.runtime import load

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ALONE = (  # a Python in which the others cannot be imported; the words behind it are those of a script
    "import runpy, sys; sys.modules |= dict.fromkeys(('cv2', 'torch', 'hydra', 'omegaconf', 'pytorch_lightning')); "
    "runpy.run_module('lightdet.runtime', run_name='__main__', alter_sys=True)"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return train_and_settle(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def file(made: Exported) -> Path:
    out = made.folder / "files" / "model.onnx"
    assert main(["export", str(made.run.path), "--format", "onnx", "--input", "photo", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def images(made: Exported) -> list[Path]:
    """As it is, grey and large, of 16 bits and small."""
    pixels = cv2.imread(str(made.image), cv2.IMREAD_GRAYSCALE)
    written = [made.image, made.folder / "grey.png", made.folder / "deep.png"]
    cv2.imwrite(str(written[1]), cv2.resize(pixels, (233, 317)))
    cv2.imwrite(str(written[2]), cv2.resize(pixels, (41, 50)).astype(np.uint16) * 257)
    return written


def test_the_command_prints_what_predict_finds(made: Exported, file: Path, images: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    words = [sys.executable, "-c", ALONE, str(file), *map(str, images), str(broken), "--threads", "1"]
    told = subprocess.run(words, capture_output=True, text=True)
    assert told.returncode == 1 and "broken.png" in told.stderr and told.stderr.count("\n") == 1
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    predictor = load_predictor(made.run.path)
    expected = [result.to_dict() for result in predictor(images)]
    assert sum(len(each["boxes"]) for each in expected) > 2
    for line, result in zip(lines, expected, strict=True):
        assert [box["class"] for box in line["boxes"]] == [box["class"] for box in result["boxes"]]
        for box, other in zip(line["boxes"], result["boxes"], strict=True):
            assert box["score"] == pytest.approx(other["score"], abs=1e-3)
            assert box["box_xyxy"] == pytest.approx(other["box_xyxy"], abs=0.5)


def test_nothing_is_reported_to_others(file: Path, tmp_path: Path) -> None:
    """ONNX Runtime, from version 1.29 on, gives this machine a number in its user's cache, unless it is told not to."""
    home = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    home.pop("ORT_DISABLE_TELEMETRY", None)  # this process has it from lightdet
    script = f"from lightdet.runtime import load; load({str(file)!r})"
    subprocess.run([sys.executable, "-c", script], env=home, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_bad_input_is_one_line(file: Path, tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "no.onnx"), "x"], capture_output=True, text=True)
    assert told.returncode == 2 and told.stderr.count("\n") == 1 and "no.onnx: no such file" in told.stderr


def test_the_example_prints_the_same_boxes(file: Path, images: list[Path]) -> None:
    words = [sys.executable, str(EXAMPLES / "onnx/predict.py"), str(file), *map(str, images[:2])]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    boxes = [(str(result.path), box) for result in load(file)(images[:2]) for box in result.to_dict()["boxes"]]
    assert len(told) == len(boxes) > 0
    for line, (path, box) in zip(told, boxes, strict=True):
        name, kind, score, corners = line.split("\t")
        assert (name, kind) == (path, box["class"]) and float(score) == pytest.approx(box["score"], abs=1e-4)
        assert json.loads(corners) == pytest.approx(box["box_xyxy"], abs=0.05)


def test_other_sizes_are_not_asked_twice(made: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(made.run.path), "--format", "onnx", "--input", "photo", "--open-size"]) == 2
    assert "--open-size" in capsys.readouterr().err
