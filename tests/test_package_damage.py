"""A package that somebody damaged or made up gives one clear line, costs nothing, and runs nothing."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from exported import Exported, contract_in, copy_of, rewrite, rewrite_weights
from safetensors.torch import load, save

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.export.card import card
from lightdet.runs.package import CONTRACT, WEIGHTS

Damage = Callable[[Path], None]


def change(place: str, value: Any) -> Damage:
    """Another value at a dotted place of the contract."""

    def damage(package: Path) -> None:
        content = contract_in(package)
        *sections, last = place.split(".")
        inner = content
        for name in sections:
            inner = inner[name]
        inner[last] = value
        rewrite(package, content)

    return damage


def text(content: str) -> Damage:
    return lambda package: rewrite(package, content)


def weights(other: Callable[[dict[str, torch.Tensor]], bytes]) -> Damage:
    """Other weights with the right hash."""
    return lambda package: rewrite_weights(package, other(load((package / WEIGHTS).read_bytes())))


def pipe(package: Path) -> None:
    (package / CONTRACT).unlink()
    os.mkfifo(package / CONTRACT)


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


FIRST = "network.backbone"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no contract": (lambda package: (package / CONTRACT).unlink(), "contract.json: no such file"),
    "a pipe": (pipe, "contract.json: no such file"),
    "no weights": (lambda package: (package / WEIGHTS).unlink(), "model.safetensors: no such file"),
    "no JSON": (text("{"), "not readable as JSON"),
    "no object": (text("[1]"), "[1] is no contract"),
    "not UTF-8": (lambda package: (package / CONTRACT).write_bytes(b"\xff{}"), "not readable as JSON"),
    "deep": (text("[" * 100_000), "not readable as JSON"),
    "huge": (text('{"a": "' + "a" * 2**21 + '"}'), "larger than 1 MiB"),
    "not a number": (text('{"a": NaN}'), "not readable as JSON"),
    "another format": (change("format", "\x1b[31mred"), r'format="\u001b[31mred"'),
    "a later schema": (change("schema", 2), "schema=2, and this lightdet reads 1: update lightdet"),
    "no section": (change("hashes", None), "hashes=null"),
    "classes no list": (change("classes", "dent"), 'classes="dent"'),
    "classes no text": (change("classes", [1, 2, 3, 4, 5, 6]), "classes: 1 is no name"),
    "a class that steers a terminal": (change("classes", ["a\x1b[2J", *"bcdef"]), r'classes: "a\u001b[2J" is no name'),
    "a class twice": (change("classes", ["a"] * 6), "a name comes twice"),
    "a long class": (change("classes", ["a" * 300, *"bcdef"]), "is no name"),
    "fewer classes": (change("classes", ["a", "b"]), "num_classes=6, and there are 2 names of classes"),
    "an absurd size": (change("input.image_size", 2**30), "input.image_size=1073741824"),
    "a large size": (change("input.image_size", [8192, 4096]), "more than 16,777,216 pixels"),
    "an odd size": (change("input.image_size", [64, 65]), "input.image_size=[64, 65]"),
    "a size of text": (change("input.image_size", "../64"), 'input.image_size="../64"'),
    "other channels": (change("input.channels", True), "channels=true"),
    "another letterbox": (change("input.letterbox", None), "input.letterbox=null: this lightdet knows"),
    "a threshold": (change("threshold", 7), "threshold=7"),
    "a huge number": (change("provenance.seed", 10**400), "seed=1000"),
    "a hash": (change("hashes.weights", "../../etc/passwd"), 'hashes.weights="../../etc/passwd": no sha256'),
    "no model": (change("model.configuration", {}), "no Model"),
    "a wrong value": (change(f"model.configuration.{FIRST}.width", "\x1b[31m"), "no model can be built of it"),
    "another wrong value": (change("model.configuration.max_detections", "all"), "the model does not compute"),
    "a reference": (change("model.configuration.nms_iou", "${oc.env:HOME}"), "no value; a contract refers to nothing"),
    "an enormous model": (change(f"model.configuration.{FIRST}.width", 1e5), "and this model needs"),
    "code": (
        change(f"model.configuration.{FIRST}._target_", "os.getcwd"),
        "os.getcwd",
    ),
    "an own class": (change(f"model.configuration.{FIRST}._target_", "mine.Backbone"), "--trust-modules"),
    "far too large": (lambda package: os.truncate(package / WEIGHTS, 2**40), "larger than the weights of this model"),
    "not safetensors": (weights(lambda tensors: b"PK\x03\x04" + bytes(64)), "not readable as safetensors"),
    "cut weights": (weights(lambda tensors: save(tensors)[:-8]), "not readable as safetensors"),
    "other weights": (
        lambda package: (package / WEIGHTS).write_bytes(b"{}"),
        "its sha256 is not that of contract.json",
    ),
    "a tensor less": (weights(lambda tensors: save(dict(list(tensors.items())[1:]))), "of this model is missing"),
    "a tensor more": (
        weights(lambda tensors: save(tensors | {"a\x1b": torch.zeros(1)})),
        r"a\x1b is none of this model",
    ),
    "another type": (
        weights(lambda tensors: save({name: value.half() for name, value in tensors.items()})),
        "is float16 [",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_clear_line(
    made: Exported, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    package = copy_of(made.package, tmp_path / "package")
    how, line = DAMAGES[damage]
    how(package)
    out = str(tmp_path / "out")
    for words in (["predict", str(package), str(made.image), "--out", out], ["evaluate", str(package), *made.data]):
        assert main(words) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert line in told and str(package) in told and "\x1b" not in told
    assert not Path(out).exists()


def test_weights_that_are_a_pickle_run_nothing(made: Exported, tmp_path: Path) -> None:
    package = copy_of(made.package, tmp_path / "package")
    rewrite_weights(package, pickle.dumps({"a": Payload(tmp_path / "ran")}))
    with pytest.raises(LightdetError, match="not readable as safetensors"):
        lightdet.load(package)
    assert not (tmp_path / "ran").exists()


def test_a_contract_of_nested_sections_ends(made: Exported, tmp_path: Path) -> None:
    package = copy_of(made.package, tmp_path / "package")
    nested: Any = 0
    for _ in range(400):
        nested = {"a": nested}
    change("model.configuration.deep", nested)(package)
    with pytest.raises(LightdetError, match="sections inside of each other"):
        lightdet.load(package)
    rewrite(
        package,
        json.dumps(contract_in(made.package)).replace('"titles"', '"deep": ' + "[" * 900 + "]" * 900 + ', "titles"'),
    )
    assert lightdet.load(package).classes == lightdet.load(made.package).classes, "what nothing reads does no harm"


def test_the_card_shows_text_as_text(made: Exported) -> None:
    contract = contract_in(made.package)
    contract["classes"][0] = "a | b\n# c <img src=x>"
    contract["licence"] = "<script>"
    shown = card(contract)
    assert "<img" not in shown and "<script" not in shown and "\n# c" not in shown
