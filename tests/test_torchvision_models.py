"""Faster R-CNN, SSD and SSDLite as composed: parameters, default boxes, ImageNet weights, what is refused."""

import urllib.error
from typing import Any

import pytest
import torch
from hydra.errors import ConfigCompositionException, InstantiationException
from omegaconf import OmegaConf
from test_models import batch, composed
from test_torchvision_detectors import MODELS, SIZE, built
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from torchvision.models.detection import fasterrcnn_resnet50_fpn, ssd300_vgg16
from torchvision.models.detection.image_list import ImageList

from lightdet.core.errors import LightdetError
from lightdet.data.dataset import ImageDataset
from lightdet.data.loader import BatchLoader
from lightdet.data.sampler import EpochBatchSampler


def test_a_loader_leaves_the_global_random_numbers_alone() -> None:
    """Or a run resumed inside an epoch, which opens its loader anew, would sample other regions."""

    class Blank(ImageDataset):
        def __init__(self) -> None: ...

        def __getitem__(self, key: tuple[int, int]) -> Any:
            return torch.zeros(8, 8, 3, dtype=torch.uint8).numpy(), None

    loader = BatchLoader(Blank(), EpochBatchSampler(4, 2, 0, True, True), 0, lambda: (0, 0))
    before = torch.get_rng_state()
    assert len(list(loader)) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_the_wide_layers_of_a_region_take_the_number_format_of_the_training() -> None:
    detector = built("faster_rcnn")
    images, targets = batch(SIZE)
    formats: list[torch.dtype] = []
    head = detector.network.model.roi_heads.box_head
    head.register_forward_hook(lambda layers, given, made: formats.append(made.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        detector.network(images)
        detector.losses(images, targets)
    detector.losses(images, targets)
    assert formats == [torch.bfloat16, torch.bfloat16, torch.float32]


def test_parameters_are_those_of_the_papers_rows() -> None:
    """Huang 2024, Table 3: Faster R-CNN 42.52 M, SSD 24.69 M. Nothing is frozen."""
    with torch.device("meta"):
        models = {name: built(name) for name in MODELS}
        originals = {
            "faster_rcnn": fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=7),
            "ssd": ssd300_vgg16(weights=None, weights_backbone=None, num_classes=7),
        }
    counts = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    assert counts == {"faster_rcnn": 41_377_906, "ssd": 24_414_218, "ssdlite_mobilenetv2": 3_136_076}
    assert abs(counts["faster_rcnn"] / 42.52e6 - 1) < 0.03 and abs(counts["ssd"] / 24.69e6 - 1) < 0.03
    assert all(p.requires_grad for model in models.values() for p in model.parameters())
    for name, original in originals.items():  # the very modules of torchvision, normalisation included
        ours = models[name].network.model.state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in original.state_dict().items()}
    assert models["faster_rcnn"].network.model.transform.min_size == (160,)
    assert models["ssd"].network.model.transform.fixed_size == (160, 160)


@pytest.mark.parametrize("name", ["ssd", "ssdlite_mobilenetv2"])
def test_default_boxes_cover_the_image_at_any_input_size(name: str) -> None:
    finest, per_cell, least = (8, [4, 6, 6, 6, 4, 4], 0.07) if name == "ssd" else (16, [6] * 6, 0.2)
    with torch.device("meta"):
        model = built(name).network.model.eval()
    for size in (64, 160, 192, 224, 320, 608):
        maps = list(model.backbone(torch.empty(1, 3, size, size, device="meta")).values())
        grids = [feature.shape[-1] for feature in maps]
        assert len(grids) == 6 and grids[0] == size // finest and grids == sorted(grids, reverse=True)
        images = ImageList(torch.empty(1, 3, size, size), [(size, size)])
        boxes = model.anchor_generator(images, [torch.empty(1, 1, grid, grid) for grid in grids])[0] / size
        assert len(boxes) == sum(grid * grid * count for grid, count in zip(grids, per_cell, strict=True))
        centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        assert centre.min() > 0 and centre.max() < 1
        torch.testing.assert_close(centre.mean(dim=0), torch.tensor([0.5, 0.5]))
        assert sides.max() <= 1 and sides.min() >= least / 3**0.5 - 1e-6
        assert sides[: grids[0] ** 2 * per_cell[0]].max() < 0.4 < 0.8 < sides[-per_cell[-1] :].max()  # fine to coarse


@pytest.mark.parametrize("name", ["ssd", "ssdlite_mobilenetv2"])
def test_a_default_box_is_as_large_at_every_input_size(name: str) -> None:
    """`augment=window` trains on inputs of half the size, in which the objects are as large as in the whole photo."""
    network = built(name, "image_size=192").network.eval()
    with torch.no_grad():
        whole, window = (network(torch.rand(1, 3, size, size))[2] for size in (192, 96))
    sides = [boxes[:, 2:] - boxes[:, :2] for boxes in (whole, window)]
    torch.testing.assert_close(sides[0][0], sides[1][0])  # on the finest map
    torch.testing.assert_close(sides[0][-1], sides[1][-1])  # and on the coarsest
    assert {*sides[0].round().unique().tolist()} == {*sides[1].round().unique().tolist()}
    centres = (window[:, :2] + window[:, 2:]) / 2
    assert centres.min() > 0 and centres.max() < 96
    torch.testing.assert_close(centres.mean(dim=0), torch.tensor([48.0, 48.0]))


def test_imagenet_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    for name in MODELS:
        with torch.device("meta"), pytest.raises(InstantiationException) as refused:
            built(name, "model.network.pretrained_backbone=true")
        reason = refused.value.__cause__
        while reason is not None and not isinstance(reason, LightdetError):
            reason = reason.__cause__
        assert "pretrained_backbone=false" in str(reason) and "\n" not in str(reason)


def test_imagenet_weights_fill_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file as torchvision's are: all names begin with the same word, and batches are not counted."""
    file = {k: torch.full_like(v, 0.25) for k, v in mobilenet_v2().state_dict().items() if v.ndim}
    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", lambda *_, **__: file)
    model = built("ssdlite_mobilenetv2", "model.network.pretrained_backbone=true").network.model
    fine, coarse = model.backbone.stages[0], model.backbone.stages[1]
    assert all((value == 0.25).all() for part in (fine, coarse) for value in part.state_dict().values() if value.ndim)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("knob", ["attention=cbam", "head=76", "width=0.25"])
def test_a_knob_of_other_models_is_refused(name: str, knob: str) -> None:
    with pytest.raises(ConfigCompositionException):
        composed(f"model={name}", knob)


def test_the_composed_model_is_one_detector_with_one_network() -> None:
    network = OmegaConf.to_container(composed("model=ssd").model.network, resolve=True)
    assert network == {
        "_target_": "lightdet.model.ssd.Ssd",
        "num_classes": 0,
        "image_size": 160,
        "pretrained_backbone": False,
    }
