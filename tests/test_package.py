"""A model package: what a run exports is the same model wherever it is read, and nothing else is written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import Exported, copy_of

import lightdet
from lightdet.benchmark.candidate import candidates
from lightdet.cli.main import main
from lightdet.config.compose import compose_job
from lightdet.core.errors import LightdetError
from lightdet.engine.load import load_run
from lightdet.engine.weights import start_from
from lightdet.runs.package import FILES, WEIGHTS
from lightdet.runs.registration import request_job


def test_the_package_detects_what_its_run_detects_bit_by_bit(made: Exported) -> None:
    of_run, of_package = lightdet.load(made.run), lightdet.load(made.package)
    assert of_package.threshold == of_run.threshold and of_package.classes == of_run.classes
    of_run.threshold = of_package.threshold = 0.0
    pairs = list(zip(of_run(made.folder / "cache"), of_package(made.folder / "cache"), strict=True))
    assert sum(map(len, (one for one, _ in pairs))) > 10
    for one, other in pairs:
        assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)
        assert one.names == other.names


def test_it_needs_neither_its_run_nor_its_place_nor_its_name(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_of(made.package, tmp_path / "a b" / "other")
    image = Path(shutil.copy(made.image, tmp_path / "one.png"))
    monkeypatch.chdir(tmp_path)
    hidden = made.folder.with_name("hidden")
    made.folder.rename(hidden)
    try:
        assert main(["predict", "a b/other", str(image), "--threshold", "0", "--json"]) == 0
        boxes = json.loads(capsys.readouterr().out)["boxes"]
    finally:
        hidden.rename(made.folder)
    assert sum(boxes.values()) == len(lightdet.load(made.run, threshold=0.0)(image)[0])


def test_it_is_measured_as_its_run_is_on_data_that_the_command_chooses(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    of_run = lightdet.evaluate(made.run, out=tmp_path / "run")
    assert main(["evaluate", str(made.package), *made.data]) == 0
    told = capsys.readouterr()
    assert "base-evaluate-val" in told.out and "trained on" not in told.err
    of_package = json.loads((tmp_path / "base-evaluate-val/metrics.json").read_text())
    assert of_package.pop("model") == str(made.package.resolve())
    assert of_package == json.loads(json.dumps(of_run))
    other = copy_of(made.package, tmp_path / "elsewhere" / "base")
    assert main(["evaluate", str(other), *made.data]) == 2
    assert "base-evaluate-val: holds the evaluation of" in capsys.readouterr().err
    assert sorted(path.name for path in made.package.iterdir()) == sorted(FILES), "nothing is written into it"
    assert main(["evaluate", str(made.package), "split=train", *made.data]) == 0
    assert main(["evaluate", str(made.package), *made.data, "data.reader.val_images=3"]) == 0
    assert "package does not tell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "a model package has no dataset; choose one, such as data=voc"),
        (["data.reader.root=x"], "a model package has no dataset; choose one, such as data=voc"),
        (["data=voc"], "no value for data.reader.root: give data.reader.root=... on the command line"),
        (["data=voc", "data.reader.root=nowhere"], "data.reader.root=nowhere: no such folder"),
        (["data=vok"], "data=vok: there is no such option"),
        (["data=synthetic", "checkpoint=last"], "checkpoint=last: "),
    ],
)
def test_an_evaluation_without_data_is_one_line(
    made: Exported, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(made.package), *words]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told


def test_data_of_other_classes_are_refused_by_name(made: Exported, tmp_path: Path) -> None:
    from tiny_datasets import write_voc

    write_voc(tmp_path)
    words = [f"data.reader.root={tmp_path}", "data.reader.images=IMAGES", "data.reader.annotations=ANNOTATIONS"]
    with pytest.raises(LightdetError, match=r"trained on surface_defect, .*the data has scratch, dent"):
        lightdet.evaluate(made.package, "val", "data=voc", *words, "data.reader.classes=[scratch,dent]")


def test_a_training_starts_from_a_package_as_from_its_run(made: Exported, tmp_path: Path) -> None:
    (model, other) = (load_run(made.run.path).model.apply(_zeroed) for _ in range(2))
    line = start_from(model, made.run.checkpoints / "best.ckpt", "it")
    assert start_from(other, made.package / WEIGHTS, "it") == line and "start anew" not in line
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())

    def requested(given: Path) -> str:
        words = (f"weights={given}",)
        return request_job(compose_job(words), list(words)).fingerprint

    moved = copy_of(made.package, tmp_path / "moved")
    assert requested(moved) == requested(made.package) == requested(moved / WEIGHTS) != requested(made.run.path)
    (moved / WEIGHTS).write_bytes(b"\x08" + bytes(7) + b"{")
    words = (f"weights={moved}",)
    assert "sha256 is not that of contract.json" in request_job(compose_job(words), list(words)).trouble


def _zeroed(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            parameter.zero_()


def test_it_is_benchmarked_at_its_input_size(made: Exported) -> None:
    (candidate,) = candidates([str(made.package)])
    (of_run,) = candidates([str(made.run.path)])
    assert (candidate.name, candidate.image_size, candidate.image) == ("base", 64, None)
    assert (candidate.key, candidate.parameters) == (of_run.key, of_run.parameters)
