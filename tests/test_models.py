"""Every option of the model groups, found by looking into conf/, is trained one step and read back."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError
from lightdet.core.types import Letterbox, Target
from lightdet.engine.load import build_model, load_run
from lightdet.engine.train import write_config
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.footprint import footprint
from lightdet.model.decode import select
from lightdet.model.detector import Detector
from lightdet.model.yolo import YoloDetector
from lightdet.ops.grid import parse_head
from lightdet.runs.folder import BEST, RunFolder

CONF = Path(conf_folder())
GROUPS = ("model", "backbone", "neck", "fusion", "attention", "predictor", "readout", "loss", "assigner")
GROUPS += ("loss/box", "loss/class", "loss/class_weights")
PRESETS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
OPTIONS = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@cache
def rooms(model: str) -> dict[str, str]:
    """The option that a preset takes in each group."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return dict(compose("train", overrides=[f"model={model}"], return_hydra_config=True).hydra.runtime.choices)


def home(option: str) -> str:
    """The preset an option is tried in: the first that is made with it, else the first with an option of the group."""
    group, _, name = option.partition("=")
    models = ("proposed", *PRESETS)
    made = [model for model in models if rooms(model).get(group) == name]
    return f"model={(made or [model for model in models if group in rooms(model)])[0]}"


def small(model: str) -> list[str]:
    """What makes a preset small, where it has such knobs."""
    there = composed(model)
    return [knob for knob in ("head=all", "width=0.125") if knob.split("=")[0] in there]


def detector(*overrides: str, num_classes: int = 6) -> Detector:
    torch.manual_seed(0)
    return build_model(composed(*overrides), num_classes, fetch=False)


def yolo(*overrides: str) -> YoloDetector:
    built = detector(*overrides)
    assert isinstance(built, YoloDetector)
    return built


def batch(size: int = 64) -> tuple[torch.Tensor, list[Target]]:
    """An image with boxes of all sizes, so that every level of every model has something to learn, and an empty one."""
    torch.manual_seed(1)
    placed = Letterbox(1.0, 1.0, 0.0, 0.0, size, size)
    middle = [(32, 32, side / 2, side / 2) for side in (33, 43, 51, 60, 64)]
    corner = [(12, 12, 3, 3), (8, 8, 6, 6), (16, 16, 11, 11), (52, 8, 4, 4), (12, 52, 8, 8)]
    spread = [(x, y, half, half) for x in (16, 32, 48) for y, half in ((32, 8), (48, 10))]
    boxes = [[x - w, y - h, x + w, y + h] for x, y, w, h in (*middle, *corner, *spread)]
    boxes += [[5, 5, 40, 30], [20, 20, 62, 60]]
    full = Target(torch.tensor(boxes), torch.arange(len(boxes)) % 6, "a", placed, class_label=0)
    empty = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), "b", placed, class_label=1)
    return torch.rand(2, 3, size, size), [full, empty]


@pytest.mark.parametrize("option", OPTIONS)
def test_gradient_reaches_every_parameter_of_every_option(option: str) -> None:
    model = detector(home(option), option, "image_size=64", *small(home(option))).train()
    with torch.no_grad():
        for module in model.modules():  # norms that begin at zero hide what lies in front of them
            if isinstance(module, torch.nn.BatchNorm2d) and not module.weight.any():
                module.weight.fill_(0.1)
    images, targets = batch()
    terms = model.losses(images, targets)
    assert all(term.isfinite() and term.ndim == 0 for term in terms.values())
    torch.stack(tuple(terms.values())).sum().backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    silent = [name for name, p in trained if p.grad is None or not p.grad.abs().sum() > 0]
    assert trained and not silent


@pytest.mark.parametrize("model", [model for model in PRESETS if "score_threshold" in composed(f"model={model}").model])
def test_a_run_folder_read_back_detects_the_same(model: str, tmp_path: Path) -> None:
    words = [f"model={model}", "image_size=64", *small(f"model={model}"), "model.score_threshold=0"]
    first = detector(*words).eval()
    for name, buffer in first.named_buffers():
        if name.endswith("anchors_wh"):
            buffer.mul_(0.5)  # as if clustered from the training set: not what the configuration says
    folder, classes = RunFolder(tmp_path / "s0"), [f"class {number}" for number in range(6)]
    data: Any = SimpleNamespace(num_classes=6, classes=classes, records={})
    write_config(composed(*words), data, folder)
    folder.checkpoints.mkdir()
    torch.save({"epoch": 3, "ema": {"weights": first.state_dict()}}, folder.checkpoints / BEST)
    loaded = load_run(folder.path)
    assert (loaded.classes, loaded.image_size, loaded.epoch) == (tuple(classes), 64, 3)
    images, _ = batch()
    with torch.inference_mode():
        for one, other in zip(first.detect(images), loaded.model.detect(images), strict=True):
            assert torch.equal(one.boxes_xyxy, other.boxes_xyxy) and torch.equal(one.scores, other.scores)
            assert torch.equal(one.labels, other.labels) and (one.scores.diff() <= 0).all()
            assert one.boxes_xyxy.min() >= 0 and one.boxes_xyxy.max() <= 64


@pytest.mark.parametrize("model", PRESETS)
def test_maps_are_what_the_layers_compute_and_embed_to_a_vector_per_image(model: str) -> None:
    built = detector(f"model={model}", "image_size=64", *small(f"model={model}")).eval()
    images, _ = batch()
    with torch.no_grad():
        maps, vectors, flipped = built.maps(images), built.embed(images), built.embed(images.flip(0))
    layers = built.layers()
    assert all(name in layers or name.rpartition(".")[0] in layers for name in maps)
    assert all(any(name == layer or name.startswith(f"{layer}.") for name in maps) for layer in layers)
    assert all(len(output) == 2 and output.isfinite().all() for output in maps.values())
    coarsest = min((output for output in maps.values()), key=lambda output: output.shape[-1])
    assert vectors.shape == (2, coarsest.shape[1])
    torch.testing.assert_close(flipped, vectors.flip(0))
    assert not built.network._forward_hooks and not any(part._forward_hooks for part in built.network.modules())


def test_parameters_and_operations_are_those_of_the_papers_rows() -> None:
    baseline, proposed = (footprint(detector(f"model={m}").network, 608) for m in ("yolov5s", "proposed"))
    assert baseline["parameters"] == 7_268_579  # 7.26 M in Table 3
    assert baseline["gflops"] == pytest.approx(15.11, abs=0.01)
    assert proposed["parameters"] <= 1_560_000 and proposed["gflops"] <= 3.6  # Table 3's budget
    literal = footprint(detector("model=proposed_literal").network, 608)
    assert literal["parameters"] == 1_679_053


def test_attention_stands_where_head_says() -> None:
    for head, grids in (("76", ["76"]), ("76-19", ["76", "19"]), ("all", ["76", "38", "19"])):
        assert list(yolo("model=proposed", f"head={head}").network.attention) == grids
    none = yolo("model=proposed", "attention=none", "head=38")
    assert len(none.network.attention) == 0 and none.placement() == "none"


@pytest.mark.parametrize("head", ["75", "7638", "76-76", "76-38-20", "everywhere"])
def test_a_grid_that_does_not_exist_is_refused_with_the_choices(head: str) -> None:
    with pytest.raises(LightdetError, match="76, 38, 19"):
        parse_head(head)


def test_attention_without_an_effect_on_the_map_is_seen_in_the_output() -> None:
    images, _ = batch()
    plain = detector("model=proposed", "attention=none").eval()
    for name in ("cbam", "se", "eca", "coord"):
        gated = detector("model=proposed", f"attention={name}").eval()
        gated.load_state_dict(plain.state_dict(), strict=False)
        with torch.inference_mode():
            fine_plain, *coarse_plain = plain.network(images)
            fine_gated, *coarse_gated = gated.network(images)
        assert not torch.allclose(fine_plain, fine_gated)  # grid 76 is gated
        assert all(torch.equal(a, b) for a, b in zip(coarse_plain, coarse_gated, strict=True))  # 38 and 19 are not


def test_a_typo_is_refused_by_hydra() -> None:
    with pytest.raises(ConfigCompositionException, match="no_such_knob"):
        composed("model.network.backbone.no_such_knob=1")


def test_unknown_timm_backbone_is_named() -> None:
    with pytest.raises(Exception, match="mobilenet_v9"):
        detector("backbone=timm", "model.network.backbone.name=mobilenet_v9")


def test_suppression_is_per_class_and_by_score() -> None:
    boxes = torch.tensor([[[10.0, 10, 30, 30], [11, 11, 31, 31], [50, 50, 60, 60], [-9, 0, 5, 5]]])
    scores = torch.tensor([[[0.9, 0.0], [0.8, 0.7], [0.0, 0.3], [0.0005, 0.0]]])
    found = select(boxes, scores, 0.001, 0.6, 100, (64, 64))[0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.3])  # 0.8 falls to 0.9, of the same class
    assert found.labels.tolist() == [0, 1, 1]
    assert len(select(boxes, scores, 0.001, 0.6, 2, (64, 64))[0].scores) == 2


@pytest.mark.parametrize("model", ["proposed", "yolox_nano", "light", "ssdlite_mobilenetv2"])
def test_a_broken_network_is_not_measured_as_one_that_finds_nothing(model: str) -> None:
    broken = detector(f"model={model}", *small(f"model={model}")).eval()
    images, targets = batch()
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(float("nan"))
        found = broken.detect(images)
    with pytest.raises(LightdetError, match="NaN"):
        DetectionMetric(tuple("abcdef")).update(found, targets)
