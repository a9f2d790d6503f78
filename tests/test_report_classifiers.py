"""What a report says of classifiers: differences of every score, calibration, escape and overkill; damaged files."""

import json
from pathlib import Path

import pytest
from classifier_studies import CLASSES, add_classifier, metric_of, one_class, several_classes
from reports import build, lines

from lightdet.core.files import write_json
from lightdet.metric.binomial import exact_interval
from lightdet.report.comparison import Comparer
from lightdet.report.rows import read_study

FILE = "probabilities.json"


def test_every_score_of_a_classifier_is_compared(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        add_classifier(tmp_path, {"model": "poor"}, seed, one_class(0.05, seed))
        add_classifier(tmp_path, {"model": "good"}, seed, one_class(0.9, seed + 5), costs={"dent": 10})
    page, text, troubles = build(tmp_path)
    assert not troubles
    told = {line["score"]: line for line in lines(tmp_path, "other_scores")}
    titles = ["expected cost (less is better)", "AUROC", "average precision", "G-mean"]
    assert list(told) == [*titles, "calibration error (less is better)"]
    reports = [[metric_of(one_class(skill, seed + far), costs).compute() for seed in (0, 1, 2)]
               for skill, far, costs in ((0.05, 0, None), (0.9, 5, {"dent": 10}))]  # fmt: skip
    poor, good = (sum(report["g_mean"] for report in pair) / 3 for pair in reports)
    found = told["G-mean"]
    assert float(found["'- baseline"]) == pytest.approx(good - poor)
    assert 0 < float(found["95 % low"]) < good - poor < float(found["95 % high"]) and found["verdict"] == "differs"
    assert any("AUROC minus baseline" in line for line in page.details()["rows"]["2"]["compared"])
    assert "## Calibration" in text


def test_images_with_several_classes_are_compared(tmp_path: Path) -> None:
    for name, skill in (("poor", 0.2), ("good", 0.9)):
        add_classifier(tmp_path, {"model": name}, 0, several_classes(skill))
    rows = read_study(tmp_path)
    differences = Comparer(rows[0], 100).compare(rows[1]).differences
    assert set(differences) == {score.key for score in rows[0].scores if not score.per_class}
    assert differences["map"].over_images[0] > 0


def test_calibration_and_what_escapes_are_counted_for_each_row(tmp_path: Path) -> None:
    for seed in (0, 1):
        add_classifier(tmp_path, {"model": "a"}, seed, one_class(0.3, seed))
    build(tmp_path)
    reports = [metric_of(one_class(0.3, seed)).compute() for seed in (0, 1)]
    after = [report["calibration"]["ece_with_temperature_of_other_half"] for report in reports]
    (calibration,) = lines(tmp_path, "calibration")
    assert float(calibration["with temperature"]) == pytest.approx(sum(after) / 2)
    assert float(calibration["with temperature spread"]) == pytest.approx(abs(after[0] - after[1]) / 2**0.5)
    change = sum(now - report["ece"] for now, report in zip(after, reports, strict=True)) / 2
    assert float(calibration["change"]) == pytest.approx(change)
    counted = lines(tmp_path, "inspection")
    assert [line["seed"] for line in counted] == ["0", "1"], "a line for each training"
    for line, report in zip(counted, reports, strict=True):
        escaped, of = report["inspection"]["escaped_images"], report["inspection"]["defective_images"]
        assert line["escaped of"] == f"{escaped} of {of}" and escaped > 0
        assert float(line["escaped, 95 % low"]) == pytest.approx(exact_interval(escaped, of)[0])


def test_without_good_parts_there_is_no_table_of_them(tmp_path: Path) -> None:
    folder = add_classifier(tmp_path, {"model": "a"}, 0, one_class(0.3))
    for damaged in ({"good_images": 0}, {"escaped_images": 10**400}, {"rejected_images": True}, {"good_images": "9"}):
        results = folder.read_results()
        results["metrics"]["inspection"] |= {"rejected_images": 0, "escaped_images": 0, "good_images": 3} | damaged
        folder.write_results(results)
        _, text, _ = build(tmp_path)
        assert "that escape" not in text, damaged


def test_damaged_and_strange_probabilities_are_named_in_the_row(tmp_path: Path) -> None:
    add_classifier(tmp_path, {"model": "a"}, 0, one_class(0.3))
    path = add_classifier(tmp_path, {"model": "<b>"}, 0, one_class(0.5)).path / FILE
    good = json.loads(path.read_text())

    def reason() -> str:
        rows = read_study(tmp_path)
        return Comparer(rows[0], 20).compare(rows[1]).reason

    assert reason() == ""
    first = good["images"][0]
    for changed in (
        {"label": 3}, {"label": -1}, {"label": True}, {"label": "0"}, {"id": good["images"][1]["id"]},
        {"probabilities": [0.5, 0.5]}, {"probabilities": [2, 0, 0]}, {"probabilities": [float("nan"), 0, 0]},
        {"probabilities": [10**400, 0, 0]}, {"probabilities": None},
    ):  # fmt: skip
        path.write_text(json.dumps({**good, "images": [{**first, **changed}, *good["images"][1:]]}))
        assert FILE in reason() and "evaluate the run again" in reason(), changed
    for content in ({"images": 3, "classes": ["a"]}, {"classes": [], "images": []}, {"classes": ["a"], "images": [3]}):
        path.write_text(json.dumps(content))
        assert FILE in reason(), content
    write_json(path, {**good, "images": good["images"][1:]})
    assert "not of the same images: evaluate the run again" in reason()
    write_json(path, {**good, "classes": [*CLASSES[:2], "<script>"]})
    assert "labels or classes differ" in reason()
    page, _, _ = build(tmp_path)
    assert not any(name == "b" and not attributes for name, attributes in page.elements[60:]), "text stays text"
    write_json(path, {**good, "images": good["images"][::-1]})
    assert reason() == "", "the order of a file is no difference"
    swapped = [{**image, "probabilities": image["probabilities"][::-1]} for image in good["images"]]
    write_json(path, {**good, "images": swapped})
    assert f"with {FILE} gives auroc" in reason() and "evaluate the run again" in reason()
