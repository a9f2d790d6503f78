"""Published numbers, latency and operations in a report: where each comes from."""

import json
from pathlib import Path

import pytest
import reports
from omegaconf import OmegaConf
from reports import build, lines
from study_factory import add_job

import lightdet.report.cost as cost
from lightdet.config.compose import compose_config
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.report.settings import Settings
from lightdet.runs.fingerprint import network_digest

six = pytest.fixture(reports.six)


def test_published_numbers_stand_apart_with_their_source(six: Path) -> None:
    before = lines_without_paper(six)
    (six / "paper.yaml").write_text(
        "rows:\n  attention=cbam head=76: {source: 'Somebody 2024, Table 1', mAP50: 98.5}\n"
        "  attention=nosuch: {source: x, FPS: 12}\n"
    )
    _, text, _ = build(six)
    first, second = lines(six, "table2_scores")[:2]
    assert (first["paper: mAP50"], first["paper: source"]) == ("98.5", "Somebody 2024, Table 1")
    assert second["paper: mAP50"] == ""
    assert lines_without_paper(six, again=False) == before
    assert "| attention=nosuch | - | not run |" in text and "Table 7 compares each row with them" in text
    (six / "paper.yaml").write_text("rows: {attention=cbam: {mAP50: 98.5}}\n")
    with pytest.raises(LightdetError, match="source"):
        build(six)


def lines_without_paper(study: Path, again: bool = True) -> list[dict[str, str]]:
    if again:
        build(study)
    found = lines(study, "table2_scores")
    return [{key: value for key, value in line.items() if not key.startswith("paper")} for line in found]


def test_latency_comes_from_a_measurement_of_the_same_network(six: Path) -> None:
    networks = {"attention-cbam__head-76/s0": "one", "attention-none__head-76/s0": "another"}
    for place, name in networks.items():
        path = six / place / "config.yaml"
        path.write_text(path.read_text() + f"model: {{network: {{made: {name}}}}}\nnum_classes: 3\n")
    measured = {"model": {"network": {"made": "one"}, "loss": "any"}, "num_classes": 3}
    facts = {
        "settings": {"image_size": 608, "threads": 2, "ways": ["eager", "detect"]},
        "machine": {"processor": "some"},
        "rows": [{"network": network_digest(measured), "batches": {"1": {"eager": {"ms": {"median": 60.2}}}}}],
    }
    write_json(six / "benchmark.json", facts)
    build(six)
    found = lines(six, "table3_cost")
    assert found[0]["ms (eager, 608 px, 2 threads)"] == "60.2"
    assert found[2]["ms (eager, 608 px, 2 threads)"] == "-", "another network"


def test_an_input_that_is_not_square_is_named_with_both_sides(tmp_path: Path) -> None:
    folder = add_job(tmp_path, {"model": "proposed"})
    folder.config_path.write_text("image_size: [64, 96]\nmodel: {network: one}\nnum_classes: 3\n")
    footprint = json.loads(folder.results_path.read_text())["footprint"] | {"image_size": [64, 96]}
    write_json(folder.results_path, json.loads(folder.results_path.read_text()) | {"footprint": footprint})
    measured = {"batches": {"1": {"eager": {"ms": {"median": 3.5}}}}, "footprint": footprint}
    network = network_digest({"model": {"network": "one"}, "num_classes": 3})
    settings = {"image_size": None, "threads": 2, "ways": ["eager"]}
    write_json(tmp_path / "benchmark.json", {"settings": settings, "rows": [{"network": network, **measured}]})
    build(tmp_path)
    (line,) = lines(tmp_path, "table3_cost")
    assert (line["input px"], line["ms (eager, 64 x 96 px, 2 threads)"]) == ("64 x 96", "3.5")
    assert lines(tmp_path, "table2_scores")[0]["input px"] == "64 x 96"


def test_what_a_model_from_elsewhere_says_of_itself_stands_beside_our_measurement(six: Path) -> None:
    path = six / "attention-cbam__head-76/s0/results.json"
    write_json(path, {**json.loads(path.read_text()), "own_evaluator": {"map50": 0.625}})
    build(six)
    found = [line["mAP50 by its own evaluator"] for line in lines(six, "table2_scores")]
    assert (float(found[0]), set(found[1:])) == (0.625, {"-"})
    assert "mAP75 by its own evaluator" not in lines(six, "table2_scores")[0]


def test_operations_at_other_sizes_are_counted_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = add_job(tmp_path, {"model": "proposed"})
    broken = add_job(tmp_path, {"model": "gone"})
    foreign = add_job(tmp_path, {"model": "foreign"})
    config = compose_config(["width=0.125", "num_classes=3", "logger=none"])
    targets = (config.model, {"_target_": "lightdet.model.Gone"}, {"_target_": "pathlib.Path"})
    for place, target in zip((folder, broken, foreign), targets, strict=True):
        OmegaConf.save(OmegaConf.create({**config, "model": target}), place.config_path, resolve=True)
    settings = Settings(resamples=100, sizes=(64,))
    _, text, _ = build(tmp_path, settings)
    counted = [line["GFLOPs at 64 px"] for line in lines(tmp_path, "table3_cost")]
    assert 0 < float(counted[0]) < 1 and counted[1] == "-"
    assert "Row 2: not counted at other sizes" in text
    assert "Row 3: not counted at other sizes (config.yaml: model names pathlib.Path, which is not one of" in text
    monkeypatch.setattr(cost, "find_spec", lambda name: None)
    _, text, _ = build(tmp_path, settings)
    assert [line["GFLOPs at 64 px"] for line in lines(tmp_path, "table3_cost")] == counted
    assert "torch is not installed" in text
