"""Every format of an exported file: it passes the gate, and its runtime finds what the run finds."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exported import Exported, train_and_settle

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.export.choice import format_names, format_of, precision_names
from lightdet.export.command import Asked, Written, export_run
from lightdet.export.parity import Distance
from lightdet.runs.exported import EXPORTED
from lightdet.runtime import load

FORMATS = ("openvino", "torchscript", "program", "ncnn")  # besides onnx


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return train_and_settle(tmp_path_factory.mktemp("formats"))


def written(made: Exported, form: str, precision: str, folder: Path) -> Written:
    for module in {"onnx": ["onnxruntime"], "openvino": ["openvino"], "ncnn": ["ncnn", "pnnx"]}.get(form, []):
        pytest.importorskip(module)
    out = folder / f"file{format_of(form).ending}"
    (found,) = export_run(made.run.path, Asked([form], [precision], out))
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_it_finds_what_the_run_finds(form: str, made: Exported, tmp_path: Path) -> None:
    found = written(made, form, "float32", tmp_path)
    assert not found.failure and found.verdict is not None and len(found.verdict.checks) == 5
    assert json.loads((tmp_path / f"{found.place.name}.verdict.json").read_text())["passed"]
    of_run, of_file = lightdet.load(made.run), load(found.place, threads=1)
    told = of_file.contract.content
    assert told["file"] == form and told["precision"]["name"] == "float32"
    distance = Distance(of_file.contract.thresholds)
    for path in sorted(made.folder.rglob("cache/**/*.png")):
        distance.add(path.name, of_run(path)[0].to_dict(), of_file(path)[0].to_dict())
    assert distance.boxes > 5 and distance.passed, distance.text()


def test_a_benchmark_times_a_file_beside_its_run(made: Exported, tmp_path: Path) -> None:
    file = written(made, "torchscript", "float32", tmp_path).place
    words = ["benchmark", str(made.run.path), str(file), "--rounds", "2", "--backends", "eager", "--threads", "1"]
    words += ["--against", str(file)]
    assert main([*words, "--out", str(tmp_path / "times")]) == 0
    of_run, of_file = json.loads((tmp_path / "times/benchmark.json").read_text())["rows"]
    assert of_file["batches"]["1"].keys() == {"detect"} and of_file["batches"]["1"]["detect"]["ratio"]["median"] == 1
    assert of_file["footprint"] == of_run["footprint"] and of_file["peak_bytes"] is None
    assert main([*words, "image_size=96"]) == 2


def test_half_of_the_bytes(made: Exported, tmp_path: Path) -> None:
    whole, half = (written(made, "onnx", precision, tmp_path / precision) for precision in ("float32", "float16"))
    weights = sum(values.numel() for values in lightdet.load(made.run).model.parameters())
    saved = whole.place.stat().st_size - half.place.stat().st_size
    assert saved > 1.5 * weights, "two bytes of nearly every weight"


def test_what_one_format_cannot_do_does_not_stop_the_others(made: Exported, tmp_path: Path) -> None:
    for module in ("ncnn", "pnnx"):
        pytest.importorskip(module)
    asked = Asked(["ncnn", "torchscript"], ["float32"], tmp_path, open_size=True)
    failed, passed = export_run(made.run.path, asked)
    assert "images of one size" in failed.failure and not passed.failure
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.torchscript",
        "model.torchscript.verdict.json",
        "model.torchscript.verdict.html",
    }


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(["onxx"]), "format onxx: no such format; there is package"),
        (Asked(["onnx"], ["float8"]), "precision float8: no such precision"),
        (Asked(["torchscript"], ["int8"]), "format torchscript has no int8"),
    ],
)
def test_a_choice_that_is_none_is_refused(asked: Asked, words: str, made: Exported) -> None:
    with pytest.raises(LightdetError, match=words):
        list(export_run(made.run.path, asked))


def test_a_precision_that_one_format_lacks_is_told(
    made: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(export_run(made.run.path, Asked(["torchscript"], ["float32", "float16"], tmp_path)))
    assert [each.place.name for each in found] == ["model.torchscript"]
    assert "format torchscript has no float16; left out" in capsys.readouterr().err


def test_every_format_is_opened_by_its_ending() -> None:
    assert {format_of(name).ending for name in ("torchscript", "program")} <= set(EXPORTED)
    assert len(format_names()) == len(EXPORTED) and "float32" in precision_names()


def changed(file: Path, out: Path, part: str, before: bytes, after: bytes) -> None:
    """A copy of an archive in whose parts of that ending a text is replaced."""
    count = 0
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as copy:
        for info in whole.infolist():
            content = whole.read(info)
            if info.filename.endswith(part):
                count += content.count(before)
                content = content.replace(before, after)
            copy.writestr(info.filename, content)
    assert count


RUN = b"__import__('pathlib').Path('MARK').touch()"
PROGRAMS = [
    ("_config.json", b'"use_pickle": false', b'"use_pickle": true'),
    ("model.json", b"torch.ops.aten.cat.default", b"torch.serialization.os.mkdir"),
    ("model.json", b"torch.ops.aten.cat.default", b"_operator.attrgetter"),
    ("model.json", b"Symbol('s", RUN + b"+Symbol('s"),
]
SCRIPTS = [
    (".py", b"torch.cat(", b"torch.from_file("),
    (".py", b"torch.cat(", b"torch.save("),
    ("data.pkl", b"torch", b"torch.classes.x"),
]


@pytest.mark.parametrize(("form", "faults"), [("program", PROGRAMS), ("torchscript", SCRIPTS)])
def test_what_a_file_for_torch_could_run_is_not_run(
    form: str, faults: list[tuple[str, bytes, bytes]], made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(made, form, "float32", tmp_path).place
    for part, before, after in faults:
        changed(file, Path(f"other{file.suffix}"), part, before, after)
        with pytest.raises(LightdetError, match=r"other\.\w+: holds .*; it is not opened"):
            load(f"other{file.suffix}")
    with zipfile.ZipFile(f"other{file.suffix}", "a") as archive:
        archive.writestr("model/more.so", b"")
    with pytest.raises(LightdetError, match="it is not opened"):
        load(f"other{file.suffix}")
    assert not Path("MARK").exists()


@pytest.mark.parametrize("ending", EXPORTED)
def test_what_is_no_exported_file_is_one_line(ending: str, tmp_path: Path) -> None:
    module = {".xml": "openvino", ".param": "ncnn", ".onnx": "onnxruntime"}.get(ending, "torch")
    pytest.importorskip(module)
    path = tmp_path / f"text{ending}"
    path.write_text("no model")
    with pytest.raises(LightdetError, match=rf"text\{ending}: "):
        load(path)(np.zeros((64, 64, 3), np.uint8))
