"""Networks of two, three and four prediction grids, whose names and components follow from their strides."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightdet.assigner.best_anchor import BestAnchor
from lightdet.assigner.ratio import Ratio
from lightdet.assigner.simota import SimOta
from lightdet.assigner.task_aligned import TaskAligned
from lightdet.attention.cbam import Cbam
from lightdet.backbone.attended import Attended
from lightdet.backbone.csp_darknet import CspDarknet
from lightdet.backbone.darknet53 import Darknet53
from lightdet.backbone.thin_csp import ThinCsp
from lightdet.backbone.timm import Timm
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Letterbox, Target
from lightdet.fusion.plain import Plain
from lightdet.fusion.weighted_residual import WeightedResidual
from lightdet.loss.box.ciou import Ciou
from lightdet.loss.criterion import Criterion
from lightdet.loss.task_aligned import TaskAlignedCriterion
from lightdet.loss.yolo import AnchorCriterion
from lightdet.loss.yolov3 import Yolov3Criterion
from lightdet.loss.yolox import YoloxCriterion
from lightdet.model.yolo import Yolo, YoloDetector
from lightdet.neck.asff import Asff
from lightdet.neck.fpn import Fpn
from lightdet.neck.pafpn import Pafpn
from lightdet.neck.pan import Pan
from lightdet.nn.contracts import Backbone
from lightdet.ops.anchors import DEFAULT_ANCHORS, YOLOV4_ANCHORS, default_anchors
from lightdet.ops.grid import grid_names, parse_head
from lightdet.predictor.anchor import Anchor
from lightdet.predictor.decoupled import Decoupled
from lightdet.predictor.distances import Distances
from lightdet.predictor.yolov3 import Yolov3Anchor
from lightdet.runs.folder import RunFolder

FINEST = {4: ("152", "76", "38", "19"), 8: ("76", "38", "19"), 16: ("38", "19")}
STRIDES = {4: (4, 8, 16, 32), 8: (8, 16, 32), 16: (16, 32)}
SIDE = 64
NECK = partial(Pafpn, width=0.0625, depth=0.33)


def kinds(levels: int) -> dict[str, tuple[Callable[..., object], Criterion]]:
    """Predictors, each with the criterion that it is trained by."""
    ones = [1.0] * levels
    gains = {"box_gain": 1.0, "objectness_gain": 1.0, "class_gain": 1.0}
    yolov3 = Yolov3Criterion(assigner=BestAnchor(), box_loss=Ciou(), ignore_iou=0.7, **gains)
    return {
        "anchors": (Anchor, AnchorCriterion(Ratio(), Ciou(), 0.05, 1.0, 0.5)),
        "yolov3": (partial(Yolov3Anchor, centre_scale=ones), yolov3),
        "decoupled": (Decoupled, YoloxCriterion(SimOta(), Ciou(), 5.0, 1.0, 1.0, 1.0, 0.0)),
        "distances": (Distances, TaskAlignedCriterion(TaskAligned(), Ciou(), 7.5, 1.5, 0.5)),
    }


def thin(finest_stride: int) -> ThinCsp:
    return ThinCsp([8, 8, 16, 24, 32], [1, 1, 1, 1], finest_stride=finest_stride)


def target() -> Target:
    boxes = torch.tensor([[4.0, 4, 10, 9], [20, 16, 44, 40], [0, 0, 60, 62]])
    return Target(boxes, torch.tensor([0, 1, 0]), "a.png", Letterbox(1.0, 1.0, 0.0, 0.0, SIDE, SIDE))


@pytest.mark.parametrize("finest", FINEST)
@pytest.mark.parametrize("kind", ["anchors", "yolov3", "decoupled", "distances"])
def test_a_detector_of_any_number_of_grids_learns_everywhere(finest: int, kind: str) -> None:
    torch.manual_seed(0)
    grids = FINEST[finest]
    predictor, criterion = kinds(len(grids))[kind]
    network = Yolo(thin(finest), NECK, WeightedResidual, predictor, 2, attention=Cbam, head="all")
    assert tuple(network.attention) == grids == grid_names(network.backbone.strides)
    detector = YoloDetector(network, criterion)
    detector.set_progress(0.5)
    sum(detector.losses(torch.rand(2, 3, SIDE, SIDE), [target(), target()]).values(), torch.zeros(())).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not without, "several ranks would wait for these"
    boxes, scores = network.predictor.decode(network(torch.rand(1, 3, SIDE, SIDE)))
    places = (3 if isinstance(network.predictor, Anchor) else 1) * sum((SIDE // s) ** 2 for s in STRIDES[finest])
    assert boxes.shape[1] == scores.shape[1] == places


@pytest.mark.parametrize("finest", FINEST)
@pytest.mark.parametrize(
    "build",
    [
        partial(CspDarknet, 0.0625, 0.33),
        partial(Darknet53, 0.0625, 0.1),
        partial(ThinCsp, [8, 8, 16, 24, 32], [1, 1, 1, 1]),
        partial(Timm, "mobilenetv3_small_050"),
    ],
)
def test_a_backbone_gives_the_maps_from_its_finest_stride_on(build: Callable[..., Backbone], finest: int) -> None:
    backbone = build(finest_stride=finest, in_channels=1).eval()
    maps = backbone(torch.rand(1, 1, SIDE, SIDE))
    assert backbone.strides == STRIDES[finest] and backbone.in_channels == 1
    expected = [
        (c, SIDE // stride, SIDE // stride) for c, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert [tuple(one.shape[1:]) for one in maps] == expected


def test_pan_of_three_maps_is_the_published_one() -> None:
    pan = Pan((16, 24, 32), Plain, 0.125, 0.33)
    names = list(dict.fromkeys(name.split(".")[0] for name in pan.state_dict()))
    order = "enter reduce5 top_down4 reduce4 top_down3 down3 bottom_up4 down4 bottom_up5"
    assert " ".join(names) == order, "checkpoints and the order of first weights depend on it"


def test_other_necks_and_attended_backbones() -> None:
    backbone = Attended(thin(4), Cbam, head="152-19")
    assert list(backbone.attention) == ["152", "19"]
    asff = Asff(backbone.channels, Plain, NECK)
    maps: list[Tensor] = asff(backbone(torch.rand(1, 3, SIDE, SIDE)))
    assert [one.shape[-1] for one in maps] == [16, 8, 4, 2]
    with pytest.raises(LightdetError, match=r"neck=fpn: joins three maps, and the backbone gives 4; take neck=pan"):
        Fpn(backbone.channels, Plain, 0.125)


def test_heads_are_those_of_the_network() -> None:
    assert parse_head("all", (4, 8, 16, 32)) == FINEST[4] and parse_head("19-152", (4, 8, 16, 32)) == ("152", "19")
    with pytest.raises(LightdetError, match="head=152: a grid is one of 76, 38, 19;"):
        parse_head(152, (8, 16, 32))
    with pytest.raises(LightdetError, match="finest_stride=32: one of 4, 8, 16"):
        thin(32)


def test_anchors_are_those_of_the_strides() -> None:
    assert list(default_anchors((8, 16, 32))) == list(DEFAULT_ANCHORS)
    assert list(default_anchors((16, 32))) == list(DEFAULT_ANCHORS[1:])
    assert Anchor((8,) * 4, (4, 8, 16, 32), 2).anchors_wh[0].tolist() == [[5.0, 6.5], [8.0, 15.0], [16.5, 11.5]]
    with pytest.raises(LightdetError, match=r"those of 3 grids, and the network has 4 \(strides 4, 8, 16, 32 px\)"):
        Anchor((8,) * 4, (4, 8, 16, 32), 2, YOLOV4_ANCHORS)


@pytest.mark.parametrize("width", [0.02, 0.15, 0.25])
def test_a_pan_with_a_grid_for_tiny_defects_takes_any_width(width: float) -> None:
    """The fusion needs C3 with twice the channels of C2, also where the channels are rounded."""
    neck = Pan((8, 16, 32, 64), Plain, width, 0.33)
    outputs = neck([torch.zeros(1, 8 * 2**level, 16 // 2**level, 16 // 2**level) for level in range(4)])
    assert [tuple(output.shape[1:3]) for output in outputs] == [(c, 16 // 2**n) for n, c in enumerate(neck.channels)]


def test_a_preset_with_a_grid_for_tiny_defects_trains(tmp_path: Path) -> None:
    words = (
        "train model=light model.network.backbone.finest_stride=4 attention=cbam head=152 image_size=64 "
        "data.reader.train_images=8 data.reader.val_images=4 data.reader.size=96 data.batch_size=4 "
        "trainer.device=cpu trainer.max_epochs=1 trainer.progress=none logger=none"
    )
    assert main([*words.split(), f"runs_dir={tmp_path}"]) == 0
    (path,) = tmp_path.glob("single/*/s0")
    assert RunFolder(path).read_results()["metrics"]["map50"] is not None
