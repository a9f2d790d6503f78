"""The network of every classifier as an ONNX file: the same logits, for any number of images."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from test_classifier import classifier
from test_models import CONF, PRESETS
from test_pretrained_lite0 import PACKAGE

from lightdet.benchmark.candidate import patches, settle
from lightdet.model.folded import folded
from lightdet.nn.backend import OPSET, onnx_call

SIZE = 64  # px
CLASSIFIERS = [name for name in PRESETS if "family/classifier" in (CONF / "model" / f"{name}.yaml").read_text()]
ATTENDED = ("light_classifier backbone=attended backbone@model.network.backbone.inner=residual",)
ATTENDED += ("light_classifier attention=coord", "object_attention model.network.pooling.normalised=false")


def test_the_presets_are_found() -> None:
    assert {"light_classifier", "mobilenetv2", "cs_resnet", "can", "object_attention"} <= set(CLASSIFIERS)


@pytest.mark.parametrize("words", [*CLASSIFIERS, *ATTENDED])
def test_logits_are_equal(words: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    if words == "pretrained_lite0" and find_spec(PACKAGE) is None:
        pytest.skip("the extra `pretrained` is not installed")
    torch.manual_seed(0)
    model = classifier(*f"model={words}".split())
    settle(model.network)
    network, path = folded(model, SIZE).network, tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's advice about shapes
        torch.onnx.export(
            network,
            (patches(2, SIZE),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
        )
    for count in (1, 3):
        images = patches(count, SIZE)
        with torch.inference_mode():
            expected = network(images)
        assert expected.std() > 1e-3, "there is something to compare"
        (found,) = onnx_call(path, images, threads=1)()
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)
