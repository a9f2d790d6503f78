"""A model that another framework trains is a row like any other: images go out, its boxes come back."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tiny_datasets import BOX, HEIGHT, TRAIN, VAL, WIDTH, write_voc

from experiments.rivals import trainer
from experiments.rivals.yolo_files import export_yolo, image_copy
from lightdet.config.compose import compose_config, compose_job
from lightdet.config.ineffective import ineffective_overrides
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_metrics
from lightdet.data.image import read_image
from lightdet.data.reader.yolo import Yolo
from lightdet.data.record import with_bits
from lightdet.engine.train import train
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder
from lightdet.runs.names import chosen

CONF = Path(trainer.__file__).parent / "conf"
RIVAL = """
import json, sys
from pathlib import Path
request = json.loads(sys.argv[1])
assert request["train"]["epochs"] == 2 and request["train"]["batch"] == 3 and request["train"]["imgsz"] == 64
folder = Path(request["folder"])
print("hello")
for epoch in range(int((folder / "begun").exists()), 2):
    own = {"map50": 0.2, "map50_95": epoch / 10}
    print("@" + json.dumps({"epoch": epoch, "lr": 0.1, "losses": {"box": 2.0, "class": 1.5}, **own}))
    if not (folder / "begun").exists():
        (folder / "begun").touch()
        sys.exit(3)
width, height = SIZE
found = []
for name in request["images"]:  # the truth itself, turned back into photo px
    lines = Path(name.replace("images", "labels")).with_suffix(".txt").read_text().split("\\n")[:-1]
    rows = [[float(word) for word in line.split()] for line in lines]
    found.append([[(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height, 0.9, label]
                  for label, x, y, w, h in rows])
(folder / "detections.json").write_text(json.dumps({"images": found}))
print("@" + json.dumps({"finished": True, "map50": 0.4, "map50_95": 0.3, "parameters": 7, "flops": 20, "torch": "2"}))
"""


def composed(monkeypatch: pytest.MonkeyPatch, *words: str) -> DictConfig:
    monkeypatch.setenv("RIVAL_PYTHON", sys.executable)
    return compose_job(["model=ultralytics", "architecture=yolo11n.yaml", *words], CONF)


def test_what_a_rival_ignores_tells_no_rows_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = composed(monkeypatch)
    others = composed(monkeypatch, "optimizer=muon", "augment=mosaic", "data/sampling=repeat_factor")
    assert fingerprint(others) == fingerprint(plain)
    assert fingerprint(composed(monkeypatch, "data.batch_size=32")) != fingerprint(plain)
    names = chosen(others)
    assert {names[key] for key in ("optimizer", "augment", "schedule", "data/sampling")} == {"-"}
    assert names["architecture"] == "yolo11n.yaml"
    found = ineffective_overrides(lambda words: composed(monkeypatch, *words), ["optimizer=muon", "seed=3"])
    assert len(found) == 1 and "optimizer=muon changes nothing" in found[0]


def test_photos_and_labels_survive_the_way_out(tmp_path: Path) -> None:
    reader = instantiate(write_voc(tmp_path / "voc"))
    splits = reader.read()
    path = export_yolo({name: splits[name] for name in ("train", "val")}, reader.classes, tmp_path / "out")
    back = Yolo(str(path.parent))
    assert back.classes == reader.classes
    read = back.read()
    for name, count in (("train", len(TRAIN)), ("val", len(VAL))):
        assert len(read[name]) == count
        for ours, theirs in zip(splits[name], read[name], strict=True):
            assert ours.path.read_bytes() == theirs.path.read_bytes()
            assert theirs.boxes_xyxy.tolist() == [pytest.approx(BOX, abs=1e-3)]
            assert ours.labels.tolist() == theirs.labels.tolist()


def test_a_rival_sees_a_photo_of_twelve_bits_as_we_do(tmp_path: Path) -> None:
    reader = instantiate(write_voc(tmp_path / "voc"))
    splits = with_bits(reader.read(), 12)
    first = splits["train"][0]
    Image.fromarray(np.linspace(0, 4095, WIDTH * HEIGHT).astype(np.uint16).reshape(HEIGHT, WIDTH)).save(first.path)
    path = export_yolo(splits, reader.classes, tmp_path / "out")
    seen = cv2.imread(str(image_copy(path.parent, "train", 0, first)))
    assert np.array_equal(seen, read_image(first.path, 12)) and seen.max() == 255


def test_a_rival_that_is_killed_goes_on_and_is_measured_by_our_evaluator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVAL_PYTHON", sys.executable)
    script = tmp_path / "driver.py"
    script.write_text(RIVAL.replace("SIZE", f"{WIDTH}, {HEIGHT}"))
    monkeypatch.setattr(trainer, "DRIVER", script)
    settings = write_voc(tmp_path / "voc")
    words = ["model=ultralytics", "architecture=some.yaml", "image_size=64", "trainer.max_epochs=2", "data=voc"]
    words += ["data.batch_size=3", f"data.reader.root={settings['root']}", "data.reader.classes=[scratch,dent]"]
    words += ["data.reader.images=IMAGES", "data.reader.annotations=ANNOTATIONS"]
    cfg = compose_config([*words, "data.reader.train_list=train.txt", "data.reader.val_list=val.txt"], CONF)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(LightdetError, match=r"exit code 3; see .*rival\.log"):
        train(cfg, folder)
    assert [row["epoch"] for row in read_metrics(folder.metrics_csv)] == ["0"]
    results = train(cfg, folder)
    rows = read_metrics(folder.metrics_csv)
    assert [(row["epoch"], row["train/loss"]) for row in rows] == [("0", "3.5"), ("1", "3.5")]
    assert results["metrics"]["map50_95"] == pytest.approx(1.0), "it found the truth"
    assert results["own_evaluator"] == {"map50": 0.4, "map50_95": 0.3}
    assert (results["best_epoch"], results["footprint"]["parameters"], results["footprint"]["macs"]) == (1, 7, 10)
    kept = json.loads((folder.path / "detections.json").read_text())
    assert [len(image["detections"]) for image in kept["images"]] == [1] * len(VAL)
    assert "hello" in (folder.path / "rival" / "rival.log").read_text()
    assert "model" in OmegaConf.load(folder.config_path)
