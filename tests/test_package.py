"""A model package: what a run exports is the same model wherever it is read, and nothing else is written."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exported import Exported, contract_in, copy_of, exported, rewrite

import lightdet
from lightdet.cli.main import main
from lightdet.config.compose import compose_job
from lightdet.core.annotation import Boxes, ClassLabel, Mask
from lightdet.core.errors import LightdetError
from lightdet.data.class_order import InOrder
from lightdet.data.record import Record
from lightdet.engine.load import load_run
from lightdet.engine.weights import start_from
from lightdet.export import whole_folder
from lightdet.export.origin import without_paths
from lightdet.ops.letterbox import PADDING_GREY
from lightdet.runs.contract import PLACING
from lightdet.runs.package import CARD, CONTRACT, FILES, WEIGHTS, read_contract
from lightdet.runs.registration import request_job


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    with exported(tmp_path_factory.mktemp("made")) as all_of_it:
        yield all_of_it


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
    assert json.loads((tmp_path / "base-evaluate-val/metrics.json").read_text()) == json.loads(json.dumps(of_run))
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


def test_labels_of_another_order_are_those_of_the_model() -> None:
    boxes = Boxes(np.zeros((2, 4), np.float32), np.array([0, 2]), np.zeros((1, 4), np.float32), np.array([1]))
    records = [Record("a", Path("a"), boxes), Record("b", Path("b"), ClassLabel(2)), Record("c", Path("c"), None)]
    reader = SimpleNamespace(classes=("dent", "hole", "stain"), doubts=("one",), read=lambda: {"val": records})
    ordered = InOrder(reader, ("stain", "dent", "hole"))
    first, second, third = ordered.read()["val"]
    assert first.labels.tolist() == [1, 0] and first.annotation.crowd_labels.tolist() == [2]  # type: ignore[union-attr]
    assert second.labels.tolist() == [0] and third.annotation is None and ordered.doubts == ("one",)
    records[:] = [Record("d", Path("d"), Mask(Path("d.png")))]
    with pytest.raises(LightdetError, match="masks of classes in another order"):
        ordered.read()


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


def export(made: Exported, out: Path, **how: str) -> Path:
    return lightdet.Run(made.run.path).export(out, **how)


def _zeroed(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            parameter.zero_()


def test_what_is_written(made: Exported) -> None:
    contract = contract_in(made.package)
    results = made.run.read_results()["metrics"]
    assert contract["measured"]["val"]["scores"]["map50_95"] == results["map50_95"]
    assert (
        contract["measured"]["val"]["images"] == 4 and contract["threshold"] == results["operating_point"]["threshold"]
    )
    assert contract["hashes"]["run"] == made.run.read_status()["fingerprint"]
    assert contract["model"]["options"]["model"] == "proposed" and contract["licence"] == "ours"
    assert contract["input"]["image_size"] == 64 and PLACING["letterbox"]["padding_grey"] == PADDING_GREY  # type: ignore[index]
    card = (made.package / CARD).read_text()
    assert "On 4 validation images" in card and "What it should not be used for" in card and "ours" in card
    for name in (CONTRACT, CARD):
        assert str(made.folder) not in (made.package / name).read_text(), "no path of this machine"
    assert any(word == "data.reader.cache=.../cache" for word in contract["provenance"]["overrides"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("data.reader.root=/data/my/steel", "data.reader.root=.../steel"),
        ("a=[/a/b,'~/c d',file:///e/f]", "a=[.../b,'.../c d',.../f]"),
        (r"runs_dir=C:\Users\me\runs", "runs_dir=.../runs"),
        ("a=../b/c lr=1/3 +data/sampling=x", "a=../b/c lr=1/3 +data/sampling=x"),
    ],
)
def test_absolute_paths_lose_all_but_their_last_name(text: str, kept: str) -> None:
    assert without_paths(text) == kept


def test_an_earlier_package_of_the_run_is_replaced_and_nothing_else(made: Exported, tmp_path: Path) -> None:
    out = copy_of(made.package, tmp_path / "out")
    (out / CARD).write_text("edited")
    assert export(made, out, licence="ours") == out
    assert (out / CARD).read_bytes() == (made.package / CARD).read_bytes()

    mine = copy_of(out, tmp_path / "mine")
    (mine / "LICENCE").write_text("a file of mine")
    foreign = copy_of(out, tmp_path / "foreign")
    rewrite(foreign, contract_in(out) | {"hashes": contract_in(out)["hashes"] | {"run": "another"}})
    empty, link = tmp_path / "empty", tmp_path / "link"
    empty.mkdir()
    link.symlink_to(out)
    for place in (mine, foreign, empty, link, tmp_path, made.run.path, out / CARD):
        before = sorted(path for path in tmp_path.rglob("*"))
        with pytest.raises(LightdetError, match="exists and is not just an earlier package of this run"):
            export(made, place)
        assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("exists", [True, False])
def test_an_export_that_breaks_leaves_what_was_there(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    out = tmp_path / "out"
    if exists:
        copy_of(made.package, out)
    write = whole_folder.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == CARD:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(whole_folder, "write_bytes", full)
    with pytest.raises(LightdetError, match="No space left on device"):
        export(made, out)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if exists else [])
    assert not exists or read_contract(out) == read_contract(made.package)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "nowhere: no run here"),
        (["base", "--format", "onyx"], "format onyx: no such format; there is package"),
        (["packages/base"], "packages/base: a model package already; copy the folder"),
        (["runs/single/begun/s0"], "runs/single/begun/s0: this run is killed and has no results to pass on"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    made: Exported, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = made.folder / "runs/single/begun/s0"
    begun.mkdir(parents=True, exist_ok=True)
    (begun / "status.json").write_text('{"state": "killed"}')
    assert main(["export", *words]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told


def test_the_newest_run_is_exported_into_its_own_folder(made: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "last"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "written to runs/single/base/s0/package"
    assert read_contract(made.run.path / "package") == read_contract(made.package)
    assert lightdet.load("base").classes == read_contract(made.package).classes, "the run is still found by its name"
