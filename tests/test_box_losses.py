"""Box losses by hand: values, the way their gradients point, what they do not depend on, and what they remember."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from lightdet.assigner.ratio import Ratio
from lightdet.backbone.csp_darknet import CspDarknet
from lightdet.callback.ema import Ema
from lightdet.core.errors import LightdetError
from lightdet.core.types import Letterbox, Target
from lightdet.fusion.plain import Plain
from lightdet.loss.box.ciou import Ciou
from lightdet.loss.box.diou import Diou
from lightdet.loss.box.eiou import Eiou
from lightdet.loss.box.giou import Giou
from lightdet.loss.box.nwd import Nwd
from lightdet.loss.box.siou import Siou
from lightdet.loss.box.wiou import Wiou
from lightdet.loss.yolo import AnchorCriterion
from lightdet.model.yolo import Yolo, YoloDetector
from lightdet.neck.pan import Pan
from lightdet.predictor.anchor import Anchor

ALL = (Giou, Diou, Ciou, Siou, Eiou, Wiou, Nwd)
NAMES = [loss.__name__ for loss in ALL]
SQUARE = torch.tensor([[0.0, 0, 2, 2]])
SHIFTED = torch.tensor([[1.0, 0, 3, 2]])  # IoU 1/3, hull 3 x 2, centres 1 apart
TWICE = torch.tensor([[0.0, 0, 4, 2]])  # IoU 1/2, hull 4 x 2, centres 1 apart, one side twice as long


def random_pairs(count: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    low = torch.rand(2, count, 2, generator=generator) * 30
    boxes = torch.cat((low, low + 2 + torch.rand(2, count, 2, generator=generator) * 30), dim=-1)
    return boxes[0], boxes[1]


def test_eiou_by_hand() -> None:
    value = Eiou()(torch.cat((SQUARE, SQUARE)), torch.cat((SHIFTED, TWICE)))
    assert value.tolist() == pytest.approx([1 - 1 / 3 + 1 / 13, 1 - 1 / 2 + 1 / 20 + 4 / 16], abs=1e-5)


def test_eiou_is_diou_for_boxes_of_one_shape() -> None:
    predicted, truth = random_pairs()
    same_shape = truth + (predicted[:, :2] - truth[:, :2]).repeat(1, 2)
    torch.testing.assert_close(Eiou()(same_shape, truth), Diou()(same_shape, truth))


def test_wiou_by_hand() -> None:
    loss, far = 2 / 3, math.exp(1 / 13)
    focus = loss / (3 * 1.9 ** (loss - 3))  # the running mean is still 1
    assert Wiou(momentum=0)(SQUARE, SHIFTED).item() == pytest.approx(focus * far * loss, rel=1e-5)
    at_delta = Wiou(momentum=0)
    at_delta.mean_loss.fill_(loss / 3)  # beta = delta: the focus is 1, what is left is version 1
    assert at_delta(SQUARE, SHIFTED).item() == pytest.approx(far * loss, rel=1e-5)


def test_wiou_remembers_the_mean_of_what_it_taught() -> None:
    loss = Wiou(momentum=0.5)
    taught = SQUARE.clone().requires_grad_()
    loss(taught, SHIFTED)
    assert loss.mean_loss.item() == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    loss(taught, TWICE)
    assert loss.mean_loss.item() == pytest.approx(1 / 2 * 5 / 6 + 1 / 2 * 1 / 2)
    before = loss.mean_loss.clone()
    loss(SQUARE, SHIFTED)  # nobody asks for a gradient
    loss(taught[:0], SHIFTED[:0])  # a grid without positives
    assert torch.equal(loss.mean_loss, before)


def test_wiou_listens_to_middling_pairs_more_than_to_outliers() -> None:
    loss = Wiou(momentum=0)
    loss.mean_loss.fill_(0.2)
    truth = torch.tensor([[0.0, 0, 10, 10]]).expand(3, 4)
    predicted = torch.tensor([[0.0, 0, 10, 9.9], [0, 0, 10, 7], [0, 0, 10, 0.5]], requires_grad=True)  # IoU .99 .7 .05
    loss(predicted, truth).sum().backward()
    good, middling, outlier = predicted.grad[:, 3].abs().tolist()
    assert middling > good and middling > outlier


def test_nwd_by_hand() -> None:
    # centres 1 apart and half-widths 1 apart: W = sqrt(2)
    gaussian = 1 - math.exp(-math.sqrt(2) / 4)
    assert Nwd(constant=4, iou_share=0)(SQUARE, TWICE).item() == pytest.approx(gaussian, rel=1e-5)
    assert Nwd(constant=4)(SQUARE, TWICE).item() == pytest.approx((gaussian + 1 / 2) / 2, rel=1e-5)


def test_nwd_tells_how_far_apart_boxes_are_that_do_not_touch() -> None:
    truth = torch.tensor([[0.0, 0, 4, 4]])
    near, far = (Nwd(iou_share=0)(truth + shift, truth).item() for shift in (6.0, 12.0))
    assert near < far < 1


@pytest.mark.parametrize("settings", [{"constant": 0}, {"constant": -3.0}, {"iou_share": 1.5}])
def test_settings_without_a_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(LightdetError, match="loss/box=nwd: " + next(iter(settings))):
        Nwd(**settings)
    with pytest.raises(LightdetError, match="loss/box=wiou: momentum"):
        Wiou(momentum=-1)


@pytest.mark.parametrize("build", ALL, ids=NAMES)
def test_the_gradient_points_to_the_truth(build: type) -> None:
    truth = torch.tensor([[10.0, 10, 30, 24]])
    left = torch.tensor([[5.0, 10, 25, 24]], requires_grad=True)
    build()(left, truth).sum().backward()
    assert left.grad[0, 0] + left.grad[0, 2] < 0, "a step against the gradient moves the box to the right"
    small = torch.tensor([[14.0, 13, 26, 21]], requires_grad=True)
    build()(small, truth).sum().backward()
    low, high = small.grad[0, :2], small.grad[0, 2:]
    assert (low > 0).all() and (high < 0).all(), "a step against the gradient makes the box larger on every side"


@pytest.mark.parametrize("build", ALL, ids=NAMES)
def test_a_step_against_the_gradient_lowers_the_loss_of_every_pair(build: type) -> None:
    predicted, truth = random_pairs()
    predicted.requires_grad_()
    loss = build()
    before = loss(predicted, truth)
    before.sum().backward()
    length = predicted.grad.norm(dim=1, keepdim=True)
    after = copy.deepcopy(loss)((predicted - 0.02 * predicted.grad / length).detach(), truth)
    if build not in (Ciou, Wiou):  # the gradients of these two leave out a factor of the value, by their definition
        assert (after < before).all()
    assert (after < before).float().mean() > 0.8


@pytest.mark.parametrize("build", ALL, ids=NAMES)
def test_neither_place_nor_axis_matters_and_scale_only_where_px_are_told(build: type) -> None:
    predicted, truth = random_pairs()
    value = build()(predicted, truth)
    moved = predicted + torch.tensor([7.0, -3, 7, -3]), truth + torch.tensor([7.0, -3, 7, -3])
    torch.testing.assert_close(build()(*moved), value, rtol=1e-4, atol=1e-4)
    swapped = predicted[:, [1, 0, 3, 2]], truth[:, [1, 0, 3, 2]]
    torch.testing.assert_close(build()(*swapped), value, rtol=1e-4, atol=1e-4)
    larger = Nwd(constant=3 * 12.8) if build is Nwd else build()
    torch.testing.assert_close(larger(predicted * 3, truth * 3), value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", (Eiou, Wiou, Nwd))
def test_perfect_boxes_cost_nothing_and_gradients_stay_finite(build: type) -> None:
    boxes = torch.tensor([[3.0, 4, 30, 20], [0, 0, 8, 8]])
    assert build()(boxes, boxes).abs().max() < 1e-3
    for predicted in (boxes.clone(), torch.tensor([[3.0, 4, 3, 4], [500, 500, 501, 501]])):
        predicted.requires_grad_()
        build()(predicted, boxes).sum().backward()
        assert predicted.grad is not None and predicted.grad.isfinite().all()


def small_detector(box_loss: object) -> YoloDetector:
    torch.manual_seed(0)

    def neck(channels: tuple[int, ...], fusion: type[Plain]) -> Pan:
        return Pan(channels, fusion, width=0.0625, depth=0.33)

    network = Yolo(CspDarknet(0.0625, 0.33), neck, Plain, Anchor, num_classes=2)
    return YoloDetector(network, AnchorCriterion(Ratio(), box_loss, 1.0, 1.0, 1.0))


def taught(detector: YoloDetector, optimizer: torch.optim.Optimizer, steps: range) -> None:
    placed = Letterbox(1.0, 1.0, 0.0, 0.0, 64, 64)
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        box = torch.tensor([[8.0, 8, 30, 40]]) + step
        target = Target(box, torch.tensor([step % 2]), "a", placed)
        terms = detector.losses(torch.rand(1, 3, 64, 64, generator=generator), [target])
        optimizer.zero_grad()
        torch.stack(tuple(terms.values())).sum().backward()
        optimizer.step()


def test_a_resumed_training_weighs_as_the_undisturbed_one() -> None:
    whole, first, rest = (small_detector(Wiou(momentum=0.3)).train() for _ in range(3))
    one, two, three = (torch.optim.SGD(d.parameters(), lr=0.01, momentum=0.9) for d in (whole, first, rest))
    taught(whole, one, range(4))
    taught(first, two, range(2))
    rest.load_state_dict(first.state_dict())
    three.load_state_dict(copy.deepcopy(two.state_dict()))
    taught(rest, three, range(2, 4))
    expected = whole.state_dict()
    assert expected["criterion.box_loss.mean_loss"] < 1
    assert all(torch.equal(value, expected[name]) for name, value in rest.state_dict().items())


def test_a_validation_with_averaged_weights_gives_the_mean_back() -> None:
    detector = small_detector(Wiou(momentum=0.3)).train()
    task = SimpleNamespace(model=detector)
    average = Ema(0.9, 10)
    average.on_fit_start(None, task)
    taught(detector, torch.optim.SGD(detector.parameters(), lr=0.01), range(1))
    average.on_train_batch_end(SimpleNamespace(global_step=1), task)
    live = detector.criterion.box_loss.mean_loss.clone()
    average.on_validation_start(None, task)
    average.on_validation_end(None, task)
    assert torch.equal(detector.criterion.box_loss.mean_loss, live)


@pytest.mark.parametrize(("decay", "ramp"), [(1.0, 300), (-0.1, 300), (0.9, 0), (0.9, 2.5)])
def test_an_average_that_never_moves_or_has_no_ramp_is_refused(decay: float, ramp: int) -> None:
    with pytest.raises(LightdetError, match=r"trainer\.ema_"):
        Ema(decay, ramp)


def test_a_loss_that_remembers_nothing_adds_nothing_to_a_checkpoint() -> None:
    assert not [name for name in small_detector(Giou()).state_dict() if name.startswith("criterion")]
