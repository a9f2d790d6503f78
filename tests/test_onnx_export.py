"""An exported ONNX file: it is the trained model, and a file that is not is rejected with the reason."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from exported import Exported, train_and_settle
from onnx import helper, numpy_helper
from small_run import SMALL_RUN

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.export import onnx_file
from lightdet.export.command import run as export_command
from lightdet.export.parity import Distance
from lightdet.runs.promise import Promise
from lightdet.runs.views import Views
from lightdet.runtime import load, session
from lightdet.runtime.contract import METADATA


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return train_and_settle(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def file(made: Exported) -> Path:
    out = made.folder / "files" / "model.onnx"
    assert main(["export", str(made.run.path), "--format", "onnx", "--out", str(out), "--open-size"]) == 0
    return out


def test_the_file_finds_what_the_run_finds(made: Exported, file: Path) -> None:
    of_run, of_file = lightdet.load(made.run), load(file, threads=1)
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 64, 3), (37, 91, 3), (150, 40))]
    distance = Distance(of_file.contract.thresholds)
    for number, image in enumerate([*images, *sorted(made.folder.rglob("cache/**/*.png"))]):
        distance.add(str(number), of_run(image)[0].to_dict(), of_file(image)[0].to_dict())
    assert distance.boxes > 20 and distance.pixels < 0.5 and distance.score < 1e-3, distance.text()
    assert distance.lost + distance.extra < distance.boxes / 10, "near its threshold and between equal scores"


def test_the_verdict_lies_beside_the_file(file: Path) -> None:
    verdict = json.loads(file.with_name("model.onnx.verdict.json").read_text())
    odd = verdict["checks"][1]
    assert verdict["passed"] and len(verdict["checks"]) == 5 and odd["numbers"]["boxes"] > 5
    assert verdict["machine"]["processor"]
    shapes = verdict["checks"][2]["numbers"]["shapes"]
    assert "3 x 96 x 64" in shapes and "5 x 64 x 128" in shapes, "batches and sizes that were not traced"
    assert "://" not in file.with_name("model.onnx.verdict.html").read_text()


def test_it_is_measured_and_predicts_as_a_run_does(
    made: Exported, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(file), *made.data]) == 0
    numbers = json.loads(Path("model.onnx-evaluate-val/metrics.json").read_text())
    expected = made.run.read_results()["metrics"]
    assert numbers["map50_95"] == pytest.approx(expected["map50_95"], abs=1e-6)
    assert main(["predict", str(file), str(made.image), "--threads", "3"]) == 0
    assert "(cpu, onnxruntime with 1 thread, 3 images at a time)" in capsys.readouterr().out
    assert main(["predict", str(made.run.path), str(made.image), "--out", "other"]) == 0
    one, other = (json.loads(Path(out, "predictions.json").read_text()) for out in ("predictions", "other"))
    assert (one["runtime"], one["runtime_threads"], other["runtime"]) == ("onnxruntime", 1, "torch")
    assert len(one["images"][0]["boxes"]) == len(other["images"][0]["boxes"]) > 0


def test_the_runtime_needs_no_torch(made: Exported, file: Path) -> None:
    script = (
        "import sys; from lightdet.runtime import load; "
        f"print(len(load({str(file)!r})({str(made.image)!r})[0].boxes)); "
        "print([name for name in ('torch', 'hydra', 'omegaconf', 'pytorch_lightning') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")
    assert int(told[0]) > 0 and told[1] == "[]"


def _swap_colours(model: onnx.ModelProto) -> None:
    order = numpy_helper.from_array(np.array([2, 1, 0]), "order")
    model.graph.initializer.append(order)
    for node in model.graph.node:
        node.input[:] = ["swapped" if name == "images" and node.op_type == "Transpose" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Gather", ["images", "order"], ["swapped"], axis=3))


def _drop_classes(model: onnx.ModelProto) -> None:
    least = next(each for each in model.graph.initializer if each.name == "thresholds")
    values = numpy_helper.to_array(least).copy()
    values[:] = 2.0
    least.CopyFrom(numpy_helper.from_array(values, "thresholds"))


def _saturate(model: onnx.ModelProto) -> None:
    """As an int8 convolution does where sums overflow: weights lose their largest values."""
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each)
        if values.ndim == 4:
            limit = np.abs(values).max() / 4
            each.CopyFrom(numpy_helper.from_array(values.clip(-limit, limit), each.name))


def _freeze(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


FAULTS: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "swapped colours": (_swap_colours, "network, equal tensors"),
    "dropped classes": (_drop_classes, "file, odd images"),
    "saturated weights": (_saturate, "network, equal tensors"),
    "a frozen batch": (_freeze, "other batches and sizes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(
    fault: str, made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant, check = FAULTS[fault]
    whole = onnx_file.with_contract

    def broken(model: onnx.ModelProto, contract: dict[str, object]) -> bytes:
        plant(model)
        return whole(model, contract)

    monkeypatch.setattr(onnx_file, "with_contract", broken)
    _assert_rejected(made, tmp_path, check, capsys)


def test_a_wrong_letterbox_is_found_and_named(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = session.placing
    monkeypatch.setattr(session, "placing", lambda letterbox: right(letterbox) + np.float32([0, 0, 4, 0, 0, 0]))
    _assert_rejected(made, tmp_path, "file, odd images", capsys)


def _assert_rejected(made: Exported, folder: Path, check: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = folder / "model.onnx"
    assert main(["export", str(made.run.path), "--format", "onnx", "--out", str(out)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"rejected; {check}: " in line and not out.exists()
    assert not json.loads((folder / "model.rejected.onnx.verdict.json").read_text())["passed"]


@pytest.mark.parametrize("content", ["", "{", '{"format": "another"}', "null"])
def test_a_file_of_another_program_is_refused(content: str, file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(file))
    helper.set_model_props(model, {METADATA: content} if content else {})
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(LightdetError, match=r"other\.onnx: (no model that lightdet exported|its contract is damaged)"):
        load(tmp_path / "other.onnx")


def test_what_is_no_file_of_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(LightdetError, match=r"text\.onnx: onnxruntime cannot read"):
        load(tmp_path / "text.onnx")


def test_no_other_file_is_overwritten(made: Exported, file: Path, tmp_path: Path) -> None:
    for name in ("precious.txt", "precious.onnx"):
        (tmp_path / name).write_text("thesis")
        assert main(["export", str(made.run.path), "--format", "onnx", "--out", str(tmp_path / name)]) == 2
        assert (tmp_path / name).read_text() == "thesis"
    with pytest.raises(LightdetError, match="an exported file already"):
        export_command([str(file), "--format", "onnx"])


def test_a_rejected_export_leaves_the_earlier_file_and_its_verdict(
    made: Exported, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = Path(shutil.copy(file, tmp_path / "model.onnx"))
    whole = onnx_file.with_contract

    def broken(model: onnx.ModelProto, contract: dict[str, object]) -> bytes:
        _swap_colours(model)
        return whole(model, contract)

    words = ["export", str(made.run.path), "--format", "onnx", "--out", str(earlier)]
    assert main(words) == 0
    with monkeypatch.context() as patch:
        patch.setattr(onnx_file, "with_contract", broken)
        assert main(words) == 2
    passed = {path.name: json.loads(path.read_text())["passed"] for path in tmp_path.glob("*.json")}
    assert passed == {"model.onnx.verdict.json": True, "model.rejected.onnx.verdict.json": False} and load(earlier)
    assert main(words) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.onnx",
        "model.onnx.verdict.html",
        "model.onnx.verdict.json",
    ]


def test_differences_that_are_no_numbers_and_other_decisions_fail() -> None:
    box = {"class": "a", "label": 0, "score": 0.9, "box_xyxy": [0.0, 0.0, 8.0, 8.0]}
    distance = Distance((0.5,))
    distance.add("x", {"boxes": [box]}, {"boxes": [{**box, "score": float("nan")}]})
    assert not distance.passed
    one = {"class": "a", "expected_cost": 0.4, "probabilities": {"a": 0.6, "b": 0.4}}
    for other, passes in (({**one, "expected_cost": 0.6, "class": "b"}, False), (dict(one), True)):
        distance = Distance()
        distance.add("x", one, other)
        assert distance.passed == passes


HOSTILE = {
    "a huge number": lambda contract: contract["output"].update(thresholds=[10**400] * 6),
    "a name twice": lambda contract: contract.update(classes=["a"] * 6),
    "channels that are no number": lambda contract: contract["input"].update(channels=True),
    "fewer classes than scores": lambda contract: (
        contract.update(classes=["a"]),
        contract["output"].update(thresholds=[0.1]),
    ),
    "another task": lambda contract: (contract.update(task="classification"), contract["output"].update(costs=[])),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_contract_that_does_not_fit_is_one_line(fault: str, file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(file))
    contract = json.loads(model.metadata_props[0].value)
    HOSTILE[fault](contract)
    helper.set_model_props(model, {METADATA: json.dumps(contract)})
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(LightdetError, match=r"other\.onnx: |array: the file gave a label"):
        load(tmp_path / "other.onnx")(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("decision", ["cheapest", "probable"])
def test_a_classifier_is_the_same_in_the_file(decision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decisions, their costs, and which class is good."""
    monkeypatch.chdir(tmp_path)
    words = [word for word in SMALL_RUN if not word.startswith("width")]
    words += ["model=light_classifier", "image_size=32", "data.label=first", f"model.decision={decision}", "name=base"]
    assert main(["train", *words, "model.costs={surface_defect:10}", "model.good=shape_deviation"]) == 0
    assert main(["export", "base", "--format", "onnx"]) == 0
    run = Path("runs/single/base/s0")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    one, other = (model(image)[0].to_dict() for model in (lightdet.load(run), load(run / "model.onnx")))
    assert (one["class"], one["label"]) == (other["class"], other["label"])
    assert one["expected_cost"] == pytest.approx(other["expected_cost"], abs=1e-4)
    assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
    data = [word for word in words if word.startswith("data.reader")]
    assert main(["evaluate", str(run / "model.onnx"), "data=synthetic", "data.label=first", *data]) == 0
    numbers = json.loads(Path("model.onnx-evaluate-val/metrics.json").read_text())
    expected = json.loads((run / "results.json").read_text())["metrics"]
    for name in ("accuracy", "expected_cost", "inspection"):
        assert numbers[name] == pytest.approx(expected[name], abs=1e-5)


def test_the_file_is_shown_tiles_as_the_run_is(made: Exported, file: Path) -> None:
    of_run, of_file = lightdet.load(made.run), load(file, threads=1)
    tiles = of_file.tiling(40)
    assert tiles == of_run.tiling(40), "both know the boxes of the training"
    image = np.random.default_rng(0).integers(0, 256, (96, 150, 3), dtype=np.uint8)
    (expected,), (found,) = of_run(image, tiles=40), of_file(image, tiles=40)
    assert found.height == 96 and len(found.scores) > len(of_file(image)[0].scores)
    assert found.scores[0] == pytest.approx(expected.scores[0], abs=1e-3)
    of_file.contract = replace(of_file.contract, promise=Promise("at most 5 %", 0.5, views=Views(tiles)))
    with pytest.raises(LightdetError, match="holds for tiles of 40 x 40 px"):
        of_file(image)
