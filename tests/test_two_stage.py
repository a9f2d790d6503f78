"""A classifier behind a detector: what it calls good is dropped, and what it agrees to stays as it was."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import SMALL_RUN
from targets import target
from torch import Tensor, nn

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Classification, Detections, Target
from lightdet.loss.cross_entropy import CrossEntropy
from lightdet.model.classifier import Classifier
from lightdet.model.detector import Detector
from lightdet.model.two_stage import TwoStage
from lightdet.ops.letterbox import letterbox_image

CLASSES, JUDGED = ("dent", "scratch"), ("good", "scratch", "dent")


class Found(Detector):
    """Finds the same boxes in every image."""

    def __init__(self, *boxes: tuple[list[float], float, int]) -> None:
        super().__init__()
        self.network = nn.Conv2d(3, 1, 1)
        corners, scores, labels = zip(*boxes, strict=True)
        self.found = Detections(torch.tensor(corners), torch.tensor(scores), torch.tensor(labels))

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        raise NotImplementedError

    def detect(self, images: Tensor) -> list[Detections]:
        return [self.found for _ in images]


class Brightness(nn.Module):
    """The probabilities of good, scratch and dent in a crop whose middle is grey, dark or bright."""

    num_classes = 3
    known = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        middle = images[:, :, images.shape[2] // 2, images.shape[3] // 2].mean(dim=1)
        kinds = torch.where(middle < 0.25, 1, torch.where(middle > 0.75, 2, 0))
        return self.known[kinds].log()


def judge(**settings: Any) -> Classifier:
    return Classifier(Brightness(), CrossEntropy(), **settings)


def two_stage(detector: Detector, classifier: Classifier | None = None, **settings: Any) -> TwoStage:
    return TwoStage(detector, classifier or judge(), CLASSES, JUDGED, 32, **settings)


@pytest.fixture
def image() -> Tensor:
    """Grey, with a dark square at the left and a bright one at the right."""
    image = torch.full((3, 64, 64), 0.5)
    image[:, 20:40, 4:24] = 0.1
    image[:, 20:40, 40:60] = 0.9
    return image


DARK, BRIGHT, GREY = [4.0, 20, 24, 40], [40.0, 20, 60, 40], [28.0, 48, 36, 56]


def plain(found: Detections) -> list[tuple[list[float], float, int]]:
    scores = [round(score, 4) for score in found.scores.tolist()]
    return list(zip(found.boxes_xyxy.tolist(), scores, found.labels.tolist(), strict=True))


def test_a_box_that_is_judged_good_is_dropped_and_the_others_take_class_and_score(image: Tensor) -> None:
    detector = Found((GREY, 0.9, 0), (DARK, 0.8, 0), (BRIGHT, 0.75, 0))
    (found,) = two_stage(detector).predict(image[None])
    assert plain(found) == [(BRIGHT, 0.675, 0), (DARK, 0.64, 1)]
    (kept,) = two_stage(detector, label="detector").predict(image[None])
    assert plain(kept) == [(BRIGHT, 0.675, 0), (DARK, 0.08, 0)]


def test_a_decision_by_cost_counts(image: Tensor) -> None:
    """Grey is good with .7, but to miss one of the dents and scratches among them costs ten."""
    costly = judge(decision="cheapest", costs={"scratch": {"good": 10}, "dent": {"good": 10}})
    (found,) = two_stage(Found((GREY, 0.9, 0)), costly).predict(image[None])
    assert plain(found) == [(GREY, 0.18, 1)]


def test_what_was_taken_for_two_classes_and_is_one_is_found_once(image: Tensor) -> None:
    near = [5.0, 20, 24, 40]
    (found,) = two_stage(Found((near, 0.9, 0), (DARK, 0.8, 1), ([4.0, 21, 24, 40], 0.7, 1))).predict(image[None])
    assert [label for _, _, label in plain(found)] == [1] and plain(found)[0][1] == 0.72
    (same,) = two_stage(Found((near, 0.9, 1), (DARK, 0.8, 1))).predict(image[None])
    assert len(same.scores) == 2, "the detector has compared these itself"


def test_a_classifier_that_agrees_changes_no_score() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, generator=generator) * 44
    boxes = torch.cat((corners, corners + 4 + torch.rand(40, 2, generator=generator) * 16), dim=1)
    labels, scores = torch.arange(40) % 2, torch.linspace(0.9, 0.1, 40)
    detector = Found(*zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True))

    class Agrees(Classifier):
        def predict(self, images: Tensor) -> list[Classification]:
            taken, self.told = self.told[: len(images)], self.told[len(images) :]
            return [Classification(torch.eye(3)[2 - label]) for label in taken]

    classifier = Agrees(Brightness(), CrossEntropy())
    classifier.told = labels.tolist()
    model, truth = two_stage(detector, classifier), target(boxes[::3].tolist(), labels[::3].tolist())
    reports = []
    for each in (detector, model):
        metric = each.metric(CLASSES)
        metric.update(each.predict(torch.full((1, 3, 64, 64), 0.5)), [truth])
        reports.append(metric.compute())
    assert reports[0] == reports[1] and 0.1 < reports[0]["map50"] < 1


def test_crops_are_placed_as_images_are(image: Tensor) -> None:
    classifier = judge()
    two_stage(Found(([0.0, 0, 10, 20], 0.9, 0), (DARK, 0.8, 0)), classifier).predict(image[None])
    network = classifier.network
    assert isinstance(network, Brightness)
    (seen,) = network.seen
    pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    # 20 px with a quarter on either side: 30; at the corner it is moved inside
    for crop, (left, top) in zip(seen, ((0, 0), (0, 15)), strict=True):
        expected = letterbox_image(pixels[top : top + 30, left : left + 30], 32)[0]
        torch.testing.assert_close(crop, torch.from_numpy(expected).permute(2, 0, 1) / 255)


def test_an_image_without_boxes_stays_without() -> None:
    detector = Found((GREY, 0.9, 0))
    detector.found = Detections.none()
    (found,) = two_stage(detector).predict(torch.rand(1, 3, 64, 64))
    assert len(found.scores) == 0


@pytest.mark.parametrize(
    ("classes", "label", "said"),
    [
        (("good", "dent"), "classifier", "the detector has dent, scratch; the classifier has good, dent; train it"),
        (("dent", "scratch", "hole"), "classifier", "the classes do not fit"),
        (JUDGED, "both", "stage2_label=both: one of classifier, detector"),
    ],
)
def test_stages_that_do_not_fit_are_refused(classes: tuple[str, ...], label: str, said: str) -> None:
    with pytest.raises(LightdetError) as refused:
        TwoStage(Found((GREY, 0.9, 0)), judge(), CLASSES, classes, 32, label)
    assert said in str(refused.value)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A detector and a classifier of the same data; both know little."""
    folder = tmp_path_factory.mktemp("stages")
    words = [*(word for word in SMALL_RUN if "width" not in word), f"runs_dir={folder}", "image_size=64"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *words, "width=0.0625", "model.score_threshold=0.00001", "name=boxes"]) == 0
        assert main(["train", *words, "model=light_classifier", "name=classes"]) == 0
        yield folder / "single/boxes/s0", folder / "single/classes/s0"


def test_the_commands_take_a_second_stage(runs: tuple[Path, Path], tmp_path: Path) -> None:
    boxes, classes = runs
    assert main(["evaluate", str(boxes), f"stage2={classes}"]) == 0
    report = json.loads((boxes / "evaluate-val-stage2" / "metrics.json").read_text())
    assert report["stage2"] == {"run": str(classes), "label": "classifier"}
    assert not (boxes / "evaluate-val").exists()
    alone = json.loads((boxes / "results.json").read_text())["metrics"]
    assert report["images"] == alone["images"] and report != alone
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(photo)
    words = ["--stage2", str(classes), "--threshold", "0", "--out", str(tmp_path / "out")]
    assert main(["predict", str(boxes), str(photo), *words]) == 0
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())["images"][0]["boxes"]
    (result,) = lightdet.load(boxes, threshold=0, stage2=classes)(photo)
    assert [entry["score"] for entry in said] == pytest.approx(result.scores.tolist(), abs=1e-5)
    assert lightdet.load(boxes, stage2=classes).threshold_from.endswith(", without the second stage")
    (first,) = lightdet.load(boxes, threshold=0)(photo)
    assert first.scores.max() > result.scores.max(initial=0)


def test_words_for_a_second_stage_that_cannot_be_are_refused(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    boxes, classes = runs
    for words, said in (
        ((classes, f"stage2={classes}"), "the first run has no boxes to judge"),
        ((boxes, f"stage2={boxes}"), "does not decide one class of an image"),
        ((boxes, "stage2_label=detector"), "there is no second stage; give stage2=RUN2 as well"),
    ):
        assert main(["evaluate", *map(str, words)]) == 2
        assert said in capsys.readouterr().err
