"""A frozen threshold: chosen at the prompt, used by predict, carried by an export, refused for other weights."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_predict import Fixed, Loaded, save
from torch import Tensor

import lightdet.engine.predictor
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification
from lightdet.engine.image_files import find_images
from lightdet.engine.jobs import file_jobs
from lightdet.engine.load import load_run
from lightdet.engine.predict import Wanted, predict
from lightdet.engine.predictor import Predictor, load_predictor
from lightdet.metric.detections_file import write_detections
from lightdet.metric.image_scores import read_scores
from lightdet.metric.match_record import ImageBoxes
from lightdet.runs.promise import Promise, read_promise, to_promise

CLASSES = ("dent", "scratch")
BOX = [0.0, 0.0, 9.0, 9.0]


def write_scores(folder: Path, classes: tuple[str, ...], defective: int = 200, good: int = 40) -> Path:
    """Defective images of score 0.2, 0.204, ... with a box each, good ones below 0.4, as an evaluation leaves them."""
    folder.mkdir()
    bad = [np.array([[*BOX, 0.2 + 0.004 * place, 0]]) for place in range(defective)]
    fine = [np.array([[*BOX, 0.01 * place, 0]]) for place in range(good)]
    images = [ImageBoxes(found, np.array([[*BOX, 0]])) for found in bad]
    images += [ImageBoxes(found, np.zeros((0, 5))) for found in fine]
    write_detections(folder / "detections.json", classes, [f"{place}.png" for place in range(len(images))], images)
    return folder


@pytest.fixture
def run(made: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.run.path, tmp_path / "run"))


def test_it_is_frozen_used_and_passed_on(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = load_run(run).classes
    before = load_predictor(run).threshold
    scores = write_scores(tmp_path / "scores", classes)
    assert main(["threshold", str(run), "--escape", "0.05", "--scores", str(scores)]) == 0
    said = capsys.readouterr().out
    assert "with 95 % confidence at most 5 % of the defective parts pass" in said
    assert (
        "4 of 200, 2 %" in said and "overkill   good images: 18 of 40" in said
    )  # upper bound of 4: 4.5 %, of 5: 5.2 %
    kept = json.loads((run / "threshold" / "threshold.json").read_text())
    assert kept["promise"]["threshold"] == pytest.approx(0.216, rel=2e-5)
    assert (run / "threshold" / "curve.png").stat().st_size > 10_000
    rows = list(csv.DictReader((run / "threshold" / "curve.csv").open()))
    at = next(row for row in rows if row["threshold"] == "0.216")
    assert (at["escaped"], at["defective"], at["rejected"], at["good"]) == ("4", "200", "18", "40")

    predictor = load_predictor(run)
    assert predictor.threshold == kept["promise"]["threshold"] != before
    assert predictor.threshold_from.startswith("the promise of lightdet threshold: with 95 % confidence")
    assert load_predictor(run, threshold=0.9).threshold_from == "as given"
    assert main(["export", str(run), "--out", str(tmp_path / "package")]) == 0
    package = load_predictor(tmp_path / "package")
    assert (package.threshold, package.promise) == (predictor.threshold, predictor.promise)

    capsys.readouterr()
    kept["weights_sha256"] = "0" * 64
    (run / "threshold" / "threshold.json").write_text(json.dumps(kept))
    assert load_predictor(run).threshold == before
    assert "its promise is that of other weights than best.ckpt, and is not used" in capsys.readouterr().err


def test_what_cannot_be_promised_freezes_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = load_run(run).classes
    scores = write_scores(tmp_path / "scores", classes)
    assert main(["threshold", str(run), "--scores", str(scores)]) == 1
    said = capsys.readouterr()
    assert "200 defective images are too few for 1 % with 95 % confidence: at least 299 are needed" in said.err
    assert "the best promise of these images is 1.49 %" in said.err and "not promised" in said.out
    assert not (run / "threshold" / "threshold.json").exists() and (run / "threshold" / "curve.png").exists()
    good = write_scores(tmp_path / "good", classes, defective=0)
    assert main(["threshold", str(run), "--scores", str(good)]) == 2
    assert "none of the 40 images is defective" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cost-escape", "3"], "give --cost-escape and --cost-overkill"),
        (["--cost-escape", "3", "--cost-overkill", "1", "--escape", "0.1"], "--escape promises a share"),
        (["--defective", "0.1"], "--defective counts for costs"),
        (["--level", "box", "--confidence", "0.9"], "has no confidence"),
        (["--level", "box", "--per-class"], "leave out --per-class"),
        (["--lot", "50", "--expected"], "--lot has one threshold"),
        (["split=train"], "the model was trained on these images"),
        (["--scores", "nowhere"], "no detections.json or probabilities.json"),
        (["--scores", "nowhere", "split=test"], "has the images already"),
    ],
)
def test_contradictions_are_a_line(run: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["threshold", str(run), *words]) == 2
    assert told in capsys.readouterr().err


def test_a_classifier_without_good_parts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "probabilities.json"
    images = [
        {"id": "a", "label": 0, "probabilities": [0.9, 0.1]},
        {"id": "b", "label": 1, "probabilities": [0.3, 0.7]},
    ]
    file.write_text(json.dumps({"classes": ["dent", "good"], "images": images}))
    scores = read_scores(file, "good", 0.5)
    assert scores.overall.tolist() == [0.9, 0.3] and scores.defective.tolist() == [True, False]
    with pytest.raises(LightdetError, match="knows no good parts"):
        read_scores(file, "sound", 0.5)


def verdicts(out: Path, promise: Promise | None, threshold: float, images: int = 1) -> Any:
    """predictions.json of images in which a scratch of 0.9 and a dent of 0.3 are found."""
    predictor = Predictor(Fixed(), CLASSES, 64, threshold, promise=promise)  # type: ignore[arg-type]
    for place in range(images):
        save(out.parent / "images" / f"{place}.png")
    summary = predict(predictor, file_jobs(*find_images([str(out.parent / "images")], out)), out, Wanted(verdict=True))
    return summary.as_json(), json.loads((out / "predictions.json").read_text())["images"]


def test_each_image_passes_or_fails_by_the_boxes_that_reach_the_threshold(tmp_path: Path) -> None:
    summary, (image, *_) = verdicts(tmp_path / "out", None, 0.25, 3)
    assert (image["verdict"], image["deciding_boxes"]) == ("fail", [0, 1])
    assert image["because"] == "score 0.90 >= 0.25, as given"
    assert summary["lot"]["failed"] == summary["lot"]["images"] == 3
    assert summary["lot"]["interval_95"] == [pytest.approx(0.025 ** (1 / 3)), 1.0]
    summary, (image, *_) = verdicts(tmp_path / "out", None, 0.95)
    assert (image["verdict"], image["deciding_boxes"], summary["lot"]["failed"]) == ("pass", [], 0)


def test_classes_have_their_own_thresholds(tmp_path: Path) -> None:
    own = Promise("told", 0.2, (0.2, 0.95))
    _, (image,) = verdicts(tmp_path / "out", own, 0.2)
    assert [box["class"] for box in image["boxes"]] == ["dent"] and image["verdict"] == "fail"
    _, (image,) = verdicts(tmp_path / "out", Promise("told", 0.4, (0.4, 0.95)), 0.4)
    assert image["boxes"] == [] and image["verdict"] == "pass"
    _, (image,) = verdicts(tmp_path / "out", own, 0.25)
    assert len(image["boxes"]) == 2, "a person's threshold counts for all classes"


class Doubtful:
    """A classifier that finds every part good with probability 0.6, a dent with 0.3 and a scratch with 0.1."""

    result = "lightdet.engine.classification_result:ClassificationResult"
    costs, decision, good = None, "probable", "good"

    def predict(self, images: Tensor) -> list[Classification]:
        return [Classification(torch.tensor([0.3, 0.1, 0.6])) for _ in images]


@pytest.mark.parametrize(
    ("promise", "rejected"),
    [
        (None, False),  # the most probable class is good
        (Promise("told", 0.39, good="good"), True),  # 1 - 0.6 reaches it
        (Promise("told", 0.41, good="good"), False),
        (Promise("told", 0.2, (0.35, 0.2, None), "good"), False),
        (Promise("told", 0.2, (0.29, 0.2, None), "good"), True),
    ],
)
def test_a_classifier_rejects_by_the_probability_that_a_part_is_not_good(
    promise: Promise | None, rejected: bool, tmp_path: Path
) -> None:
    model: Any = Doubtful()
    threshold = 0.25 if promise is None else promise.threshold
    predictor = Predictor(model, (*CLASSES, "good"), 64, threshold, promise=promise)
    (result,) = predictor(save(tmp_path / "a.png"))
    decision = result.decision()
    assert (decision.rejected, decision.name) == (rejected, "good")
    assert promise is None or "P(not good) 0.4 against" in decision.sentence


def test_the_exit_code_tells_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = Loaded(Fixed(), CLASSES, 64, promise=Promise("at most so many pass", 0.8))
    monkeypatch.setattr(lightdet.engine.predictor, "load_run", lambda *a, **k: loaded)
    monkeypatch.setattr(lightdet.engine.predictor, "folded", lambda model, size: model)
    monkeypatch.setattr("lightdet.cli.predict.find_model", Path)
    image = save(tmp_path / "images" / "a.png")
    words = ["predict", str(tmp_path), str(image.parent), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert main([*words, "--verdict"]) == 3
    assert "verdict: 1 of 1 fail, 100 % [95 %: 2.5, 100]; threshold 0.8, the promise of" in capsys.readouterr().out
    assert main([*words, "--verdict", "--threshold", "0.95"]) == 0
    (image.parent / "b.png").write_bytes(b"broken")
    assert main([*words, "--verdict"]) == 1, "an image that was not judged does not pass"


@pytest.mark.parametrize(
    "section",
    [{}, {"threshold": 2}, {"threshold": True}, {"thresholds": [0.5]}, {"good": "other"}, {"thresholds": 3}, []],
)
def test_a_damaged_promise_is_a_line(section: Any, tmp_path: Path) -> None:
    whole = Promise("told", 0.3, (0.3, 0.4)).as_json()
    damaged = {**whole, **section} if section else section
    (tmp_path / "threshold").mkdir()
    (tmp_path / "threshold" / "threshold.json").write_text(json.dumps({"promise": damaged}))
    with pytest.raises(LightdetError, match="its promise is damaged"):
        read_promise(tmp_path, tmp_path / "best.ckpt", CLASSES)
    assert to_promise(json.loads(json.dumps(whole)), CLASSES, "") == Promise("told", 0.3, (0.3, 0.4))
