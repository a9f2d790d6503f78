"""lightdet from Python: what the commands do, with the same errors, and results in the image's own pixels."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lightdet
from lightdet import LightdetError, Predictor, Run
from lightdet.cli.main import main
from lightdet.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
TINY = (
    *("model=light", "image_size=96", "trainer.max_epochs=1", "logger=none"),
    *("data.reader.train_images=16", "data.reader.val_images=8", "data.reader.size=96"),
)
BREAKS = """
import torch


class Breaks(torch.nn.Module):
    \"\"\"An attention that ends the training.\"\"\"

    def __init__(self, channels, error):
        super().__init__()
        self.error = error
        self.begun = False

    def forward(self, maps):
        if self.training and torch.is_grad_enabled():
            raise {"stop": KeyboardInterrupt, "defect": RuntimeError("a defect")}[self.error]
        return maps
"""
MINE = """# @package model.network
attention:
  _target_: breaks.Breaks
  _partial_: true
  error: defect
head: ${head}
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder that everything here works in."""
    folder = tmp_path_factory.mktemp("api")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def run(workplace: Path) -> Run:
    return lightdet.train(*TINY)


@pytest.fixture(scope="module")
def model(run: Run) -> Predictor:
    return lightdet.load(run, threshold=0.0)


# ---------------------------------------------------------------- the module


def test_import_is_quick_and_does_without_torch() -> None:
    script = (
        "import sys, time\nbegan = time.process_time()\nimport lightdet\nseconds = time.process_time() - began\n"
        "assert 'train' in dir(lightdet)\n"
        "lightdet.compose, lightdet.LightdetError\n"
        "assert 'torch' not in sys.modules\n"
        "assert seconds < 0.1, seconds\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def test_every_public_name_is_there_with_a_docstring() -> None:
    for name in lightdet.__all__:
        assert getattr(lightdet, name).__doc__, name
        assert name in dir(lightdet)
    with pytest.raises(AttributeError, match=r"no attribute 'trian'; it has .*train"):
        lightdet.trian  # type: ignore[attr-defined]  # noqa: B018


# ---------------------------------------------------------------- train


def test_a_run_is_what_the_command_leaves(run: Run) -> None:
    assert run.status["state"] == "done"
    assert run.path.parts[0] == "runs" and (run.path / "checkpoints/best.ckpt").exists()
    assert 0 <= run.results["metrics"]["map50_95"] <= 1
    (row,) = run.metrics
    assert row["epoch"] == 0 and isinstance(row["train/loss"], float)
    assert repr(run).startswith(f"<Run {run.path}: done, mAP50-95 0.")


def test_a_run_that_is_done_is_not_trained_again(run: Run) -> None:
    before = (run.path / "results.json").stat().st_mtime_ns
    again = lightdet.train(*TINY)
    assert again.path == run.path
    assert (run.path / "results.json").stat().st_mtime_ns == before


def test_threads_take_turns(workplace: Path) -> None:
    runs: list[Run] = []
    words = [*TINY, "study.name=threads", "debug=one_step"]
    threads = [
        threading.Thread(target=lambda seed=seed: runs.append(lightdet.train(*words, f"seed={seed}")))
        for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.path for each in runs}) == 2
    assert [each.status["state"] for each in runs] == ["done", "done"]


@pytest.mark.parametrize(
    ("error", "raised", "state"), [("defect", RuntimeError, "failed"), ("stop", KeyboardInterrupt, "killed")]
)
def test_a_training_that_ends_early_says_so_in_its_status(
    workplace: Path, error: str, raised: type[BaseException], state: str
) -> None:
    """Its module lies in the working directory, as for the command."""
    Path("breaks.py").write_text(BREAKS)
    Path("mine/attention").mkdir(parents=True, exist_ok=True)
    Path("mine/attention/breaks.yaml").write_text(MINE)
    with pytest.raises(raised):
        lightdet.train(
            *TINY[1:],
            "attention=breaks",
            "head=76",
            f"model.network.attention.error={error}",
            f"study.name={error}",
            config_dir="mine",
        )
    (status,) = (workplace / "runs" / error).glob("*/s0/status.json")
    assert RunFolder(status.parent).read_status()["state"] == state
    shown = repr(Run(status.parent))
    assert f": {state}, " in shown and {"failed": "a defect", "killed": "interrupted"}[state] in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention=cbma"], "cbma.*choose one of.*cbam"),
        (["image_sise=224"], "did you mean image_size"),
        (["attention=cbam,none"], "several values; .*lightdet train -m .*attention=cbam,none"),
        (["-m", "attention=cbam,none"], "flags are the command line's"),
        ([{"model": "light"}], "give overrides such as 'model=light'"),
        (["launcher=parallel"], "only a sweep"),
        (["data=voc"], r"data\.reader\.root"),
    ],
    ids=str,
)
def test_bad_words_are_one_line_and_begin_nothing(workplace: Path, words: list[str], message: str) -> None:
    with pytest.raises(LightdetError, match=message) as raised:
        lightdet.train("study.name=bad", "logger=none", *words)
    assert "\n" not in str(raised.value)
    assert not list(Path("runs").glob("bad/*/*/config.yaml"))


def test_a_notebook_shows_an_error_in_one_line() -> None:
    assert LightdetError("no such image")._render_traceback_() == ["LightdetError: no such image"]


# ---------------------------------------------------------------- load and predict


def test_a_run_is_loaded_by_object_folder_and_as_last(run: Run, model: Predictor) -> None:
    grey = np.full((50, 80), 120, np.uint8)
    expected = model(grey)[0].boxes
    newest = lightdet.train(*TINY, "seed=7", "debug=one_step")
    for named in (run, RunFolder(run.path), run.path, str(run.path)):
        assert np.array_equal(lightdet.load(named, threshold=0.0)(grey)[0].boxes, expected)
    last = lightdet.load("last", threshold=0.0)(grey)[0]
    assert np.array_equal(last.boxes, newest.load(threshold=0.0)(grey)[0].boxes)
    point = run.results["metrics"]["operating_point"]["threshold"]
    assert lightdet.load(run).threshold == point
    with pytest.raises(LightdetError, match="nowhere"):
        lightdet.load("nowhere")
    with pytest.raises(LightdetError, match="threshold=2: give a number from 0 to 1"):
        lightdet.load(run, threshold=2)
    with pytest.raises(LightdetError, match="device=tpu"):
        lightdet.load(run, device="tpu")


def test_every_kind_of_image_gives_the_same_boxes(model: Predictor, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(60, 180, (60, 90), np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "b.png")
    Image.fromarray(rgb).save(tmp_path / "a.png")
    pil = Image.fromarray(grey)
    modes = [pil, pil.convert("RGB"), pil.convert("RGBA"), pil.convert("P"), pil.convert("LA")]
    given = [grey, rgb, grey[::-1][::-1], tmp_path / "b.png", str(tmp_path / "a.png"), *modes]
    results = model(given)
    (expected,) = model(grey)
    assert len(results) == len(given) and len(expected) > 0
    for result in results:
        np.testing.assert_array_equal(result.boxes, expected.boxes)
        np.testing.assert_array_equal(result.image, rgb)
    assert [each.path for each in results[3:5]] == [tmp_path / "b.png", tmp_path / "a.png"]
    assert [each.path for each in model(tmp_path)] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert [each.path for each in model(str(tmp_path / "*.png"))] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert model([]) == []


def test_the_command_writes_what_a_result_holds(run: Run, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(60, 180, (60, 90, 3), np.uint8)).save(tmp_path / "a.png")
    words = [str(run.path), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--threshold", "0"]
    assert main(["predict", *words]) == 0
    (entry,) = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    (result,) = lightdet.load(run, threshold=0)(tmp_path / "a.png")
    assert entry == {"id": 1, "name": "a.png", "picture": "pictures/a.png", **result.to_dict()} and entry["boxes"]
    drawn = np.asarray(Image.open(tmp_path / "out/pictures/a.png"))
    np.testing.assert_array_equal(drawn, np.asarray(result.plot()))


# ---------------------------------------------------------------- evaluate, compose, build


def test_evaluation_agrees_with_the_run(run: Run, tmp_path: Path) -> None:
    metrics = lightdet.evaluate(run)
    assert metrics["map50_95"] == pytest.approx(run.results["metrics"]["map50_95"], abs=1e-6)
    assert (run.path / "evaluate-val/metrics.json").exists()
    elsewhere = lightdet.evaluate(run, "train", "model.nms_iou=0.3", threshold=0.5, out=tmp_path / "here")
    assert elsewhere["images"] == 16 and elsewhere["operating_point"]["threshold"] == 0.5
    assert (tmp_path / "here/metrics.json").exists()
    for arguments, message in (((run, "tset"), "split=tset"), ((run, "val", "model.nms_iuo=1"), "nms_iuo")):
        with pytest.raises(LightdetError, match=message):
            lightdet.evaluate(*arguments)
    with pytest.raises(LightdetError, match="threshold=3"):
        lightdet.evaluate(run, threshold=3)


def test_compose_is_what_a_training_reads() -> None:
    cfg = lightdet.compose("model=light", "image_size=224", "seed=3")
    assert (cfg.image_size, cfg.seed, "hydra" in cfg) == (224, 3, False)
    with pytest.raises(LightdetError, match="cbma"):
        lightdet.compose("attention=cbma")


def test_build_gives_an_untrained_model() -> None:
    model = lightdet.build("model=proposed", classes=["dent", "scratch", "stain"])
    assert model.training and {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    with torch.inference_mode():
        (detections,) = model.detect(torch.zeros(1, 3, 96, 96))
    assert set(detections.labels.tolist()) <= {0, 1, 2}
    same = lightdet.build("model=proposed", num_classes=3)
    assert [each.shape for each in same.parameters()] == [each.shape for each in model.parameters()]
    for given in ({}, {"classes": ["a"], "num_classes": 1}, {"num_classes": 0}, {"classes": []}):
        with pytest.raises(LightdetError, match="build: "):
            lightdet.build("model=light", **given)  # type: ignore[arg-type]
