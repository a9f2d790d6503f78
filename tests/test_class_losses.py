"""Class losses and class weights by hand, and against torchvision."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lightdet.assigner.ratio import Ratio
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.types import Letterbox, Target, TrainingStats
from lightdet.data.module import ImageData
from lightdet.data.record import Record
from lightdet.loss.box.giou import Giou
from lightdet.loss.class_weights.inverse_frequency import InverseFrequency
from lightdet.loss.classification.bce import Bce
from lightdet.loss.classification.contract import ClassLoss
from lightdet.loss.classification.focal import Focal
from lightdet.loss.classification.quality_focal import QualityFocal
from lightdet.loss.yolo import AnchorCriterion
from lightdet.predictor.anchor import Anchor

LOGITS = torch.tensor([[0.0, math.log(3)]])  # probabilities 1/2 and 3/4
LABEL = torch.tensor([1])


def random_answers() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(12, 5, generator=generator)
    return logits, torch.randint(5, (12,), generator=generator), torch.rand(12, generator=generator)


def test_bce_is_the_cross_entropy_that_was_always_taught() -> None:
    logits, labels, quality = random_answers()
    one, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    ours = Bce()(one, labels, quality)
    theirs = F.binary_cross_entropy_with_logits(other, F.one_hot(labels, 5).float())
    ours.backward()
    theirs.backward()
    assert torch.equal(ours, theirs) and torch.equal(one.grad, other.grad)  # bit for bit
    by_hand = (math.log(2) - math.log(3 / 4)) / 2
    assert Bce()(LOGITS, LABEL, torch.ones(1)).item() == pytest.approx(by_hand, rel=1e-6)


def test_focal_by_hand() -> None:
    # wrong class: p 1/2, taught 0; right class: p 3/4, taught 1
    wrong, right = 0.75 * (1 / 2) ** 2 * math.log(2), 0.25 * (1 / 4) ** 2 * -math.log(3 / 4)
    assert Focal()(LOGITS, LABEL, torch.ones(1)).item() == pytest.approx((wrong + right) / 2, rel=1e-5)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, 0.6), (0.0, -1.0)])
def test_focal_equals_torchvision(gamma: float, alpha: float) -> None:
    logits, labels, quality = random_answers()
    one, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    ours = Focal(gamma, alpha)(one, labels, quality)
    theirs = sigmoid_focal_loss(other, F.one_hot(labels, 5).float(), alpha, gamma, "mean")
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("loss", [Focal(gamma=0.5), QualityFocal(beta=0.5)])
def test_an_answer_that_is_certain_and_right_has_a_gradient(loss: ClassLoss) -> None:
    logits = torch.tensor([[-200.0, 200.0]], requires_grad=True)  # probabilities 0 and 1, to the last bit
    loss(logits, LABEL, torch.ones(1)).backward()
    assert logits.grad is not None and logits.grad.tolist() == [[0.0, 0.0]]


def test_quality_focal_by_hand() -> None:
    # the right class (p 3/4) is taught 1/4, the wrong one (p 1/2) 0
    entropy = -(1 / 4 * math.log(3 / 4) + 3 / 4 * math.log(1 / 4))
    expected = ((1 / 2) ** 2 * math.log(2) + (1 / 2) ** 2 * entropy) / 2
    value = QualityFocal()(LOGITS, LABEL, torch.tensor([0.25]))
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_quality_focal_is_content_where_the_score_is_the_quality() -> None:
    logits = torch.tensor([[-30.0, math.log(3)]], requires_grad=True)
    QualityFocal()(logits, LABEL, torch.tensor([0.75])).backward()
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("loss", [Bce(), Focal(), QualityFocal()], ids=lambda loss: type(loss).__name__)
def test_a_weight_multiplies_what_its_positive_costs(loss: ClassLoss) -> None:
    logits, labels, quality = random_answers()
    weight = torch.linspace(0.5, 2, 12)[:, None]
    each = torch.stack([loss(logits[[k]], labels[[k]], quality[[k]]) for k in range(12)])
    torch.testing.assert_close(loss(logits, labels, quality, weight), (each * weight[:, 0]).mean())
    torch.testing.assert_close(loss(logits, labels, quality, torch.ones(12, 1)), loss(logits, labels, quality))


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(LightdetError, match="loss/class=focal: gamma=-1"):
        Focal(gamma=-1)
    with pytest.raises(LightdetError, match="loss/class=quality_focal: beta=-1"):
        QualityFocal(beta=-1)


def test_inverse_frequency_by_hand() -> None:
    # 60, 30 and 10 boxes: 1, 2 and 6 times as rare, mean 3
    def weights(*counts: int) -> list[float]:
        return InverseFrequency()(TrainingStats(torch.zeros(0, 2), torch.tensor(counts))).tolist()

    assert weights(60, 30, 10) == pytest.approx([1 / 3, 2 / 3, 2])
    assert weights(60, 0, 30) == pytest.approx([2 / 3, 1, 4 / 3])
    assert weights(7, 7) == [1, 1]
    assert weights(0, 0) == [1, 1]


def weighted_criterion() -> tuple[AnchorCriterion, Anchor]:
    criterion = AnchorCriterion(Ratio(), Giou(), 1.0, 1.0, 1.0, class_weights=InverseFrequency())
    return criterion, Anchor((4, 4, 4), (8, 16, 32), num_classes=2)


def test_weights_act_on_the_class_term_by_the_truth_after_prepare() -> None:
    criterion, predictor = weighted_criterion()
    raw = [torch.zeros(1, 21, size, size) for size in (8, 4, 2)]
    box, placed = torch.tensor([[15.0, 13.5, 25, 26.5]]), Letterbox(1.0, 1.0, 0.0, 0.0, 64, 64)
    terms = [criterion(raw, [Target(box, torch.tensor([label]), "a", placed)], predictor) for label in (0, 1)]
    assert torch.equal(terms[0]["class"], terms[1]["class"]), "not told yet: all alike"
    said = criterion.prepare(TrainingStats(torch.full((40, 2), 20.0), torch.tensor([30, 10])), predictor)
    assert "anchors kept" in said and "class weights 0.50, 1.50" in said
    for label, weight in ((0, 0.5), (1, 1.5)):
        weighted = criterion(raw, [Target(box, torch.tensor([label]), "a", placed)], predictor)
        assert weighted["class"].item() == pytest.approx(weight * terms[label]["class"].item(), rel=1e-6)
        assert torch.equal(weighted["box"], terms[label]["box"])
    assert not criterion.state_dict(), "told by the data at every start"


def test_quality_is_the_overlap_of_the_predicted_box() -> None:
    class Remember(ClassLoss):
        def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, weight: Tensor | None = None) -> Tensor:
            self.quality = quality
            return logits.sum() * 0

    remember = Remember()
    predictor = Anchor((4, 4, 4), (8, 16, 32), num_classes=2)
    predictor.anchors_wh = torch.tensor([[[10.0, 13], [900, 900], [900, 900]]] + [[[900.0, 900]] * 3] * 2)
    criterion = AnchorCriterion(Ratio(neighbour_offset=0.0), Giou(), 1.0, 1.0, 1.0, remember)
    truth = torch.tensor([[17.0, 15.5, 27, 28.5]])  # 2 px right and down of the prediction: IoU 8 * 11 / (260 - 88)
    raw = [torch.zeros(1, 21, size, size, requires_grad=True) for size in (8, 4, 2)]
    criterion(raw, [Target(truth, torch.tensor([1]), "a", Letterbox(1.0, 1.0, 0.0, 0.0, 64, 64))], predictor)
    assert remember.quality.tolist() == pytest.approx([88 / 172]) and not remember.quality.requires_grad


def test_the_data_counts_the_boxes_of_its_training_set(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Three:
        classes = ("a", "b", "c")

        def read(self) -> dict[str, list[Record]]:
            return {"train": [record([0, 0, 2]), record([]), record([2])], "val": [record([1])]}

    def record(labels: list[int]) -> Record:
        boxes = np.tile(np.float32([0, 0, 8, 4]), (len(labels), 1))
        return Record("x.png", tmp_path / "x.png", Boxes(boxes, np.array(labels, dtype=np.int64)))

    monkeypatch.setattr("lightdet.data.dataset.original_size", lambda path: (16, 16))
    stats = ImageData(Three(), None, 32, 2, 0, 1, 0, 3).training_stats()
    assert stats.class_counts.tolist() == [2, 0, 2]
    assert stats.box_sizes.tolist() == [[16.0, 8.0]] * 4
