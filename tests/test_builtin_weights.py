"""The starting weights of the package: their hashes, the models they fit, and who is refused."""

import hashlib
import json

import pytest
import torch

import lightdet
from lightdet.core.errors import LightdetError
from lightdet.engine.weights import start_from
from lightdet.runs.builtin_weights import FOLDER, INDEX
from lightdet.runs.start_weights import settle_weights

ENTRIES = json.loads((FOLDER / INDEX).read_text())


@pytest.mark.parametrize("name", ENTRIES)
def test_a_model_of_the_files_name_starts_from_it_but_for_its_classes(name):
    preset = name.removesuffix(".safetensors")
    settled = settle_weights(lightdet.compose(f"model={preset}", "weights=builtin")).weights
    assert settled.file == str(FOLDER / name)
    assert settled.sha256 == ENTRIES[name]["sha256"] == hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()
    model = lightdet.build(f"model={preset}", classes=["one", "two", "three"])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    said = start_from(model, FOLDER / name, "builtin")
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    anew = {key for key, _ in model.named_parameters()} - set(moved)
    assert anew and all("class" in key for key in anew), anew
    assert "start anew" in said


def test_the_files_and_their_list_are_the_same_and_small():
    files = {file.name for file in FOLDER.glob("*.safetensors")}
    assert files == set(ENTRIES)
    assert sum((FOLDER / file).stat().st_size for file in files) < 5e6


@pytest.mark.parametrize("words", [["model=yolov5n"], ["model=light", "model.network.backbone.channels=[8,8,8,8,8]"]])
def test_another_backbone_is_refused_by_name_of_those_that_fit(words):
    with pytest.raises(LightdetError, match=r"weights=builtin: .*model=light\b.*none for this backbone"):
        settle_weights(lightdet.compose(*words, "weights=builtin"))
