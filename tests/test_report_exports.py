"""Exported files in a report: a line for each verdict in the folder of a run."""

from pathlib import Path
from typing import Any

from reports import build, lines
from study_factory import add_job

from lightdet.core.files import write_json
from lightdet.report.exports import exports_table
from lightdet.report.rows import read_study


def verdict(passed: bool) -> dict[str, Any]:
    checks: list[dict[str, Any]] = [
        {"name": "network, equal tensors", "passed": True, "found": "0", "numbers": {"largest_score": 0.0}},
        {"name": "mAP50-95, val", "passed": passed, "found": "0.38", "numbers": {"file": 0.38, "model": 0.385}},
        {"name": "worst class, val", "passed": True, "found": "", "numbers": {"class": "dent", "points": 0.7}},
    ]
    return {"file": "model.onnx", "format": "onnx, float32", "passed": passed, "checks": checks, "machine": {}}


def test_every_verdict_has_a_line(tmp_path: Path) -> None:
    folder = add_job(tmp_path, {"attention": "cbam"})
    assert exports_table(read_study(tmp_path)) == (None, [])
    write_json(folder.path / "model.onnx.verdict.json", verdict(True))
    write_json(folder.path / "model.rejected.xml.verdict.json", verdict(False))
    (folder.path / "model.rejected.xml").write_bytes(bytes(10**6))
    (folder.path / "model.rejected.bin").write_bytes(bytes(10**6))
    (folder.path / "model.pt2.verdict.json").write_text("{")
    table, troubles = exports_table(read_study(tmp_path))
    assert table is not None and len(table.lines) == 2
    assert len(troubles) == 1 and "model.pt2.verdict.json: not readable" in troubles[0]
    passed, failed = ([cell.text for cell in line[-7:]] for line in table.lines)
    assert passed == ["model.onnx", "onnx, float32", "passed", "-", "0.50", "0.70", "-"]
    assert failed[0] == "model.rejected.xml" and failed[2:5] == ["REJECTED", "2.0", "0.50"]
    assert "mAP50-95" in failed[-1]


def test_a_verdict_that_is_nonsense_does_not_stop_the_report(tmp_path: Path) -> None:
    folder = add_job(tmp_path, {"attention": "cbam"})
    nonsense: list[dict[str, Any]] = [
        {},
        {"checks": 3},
        {"checks": [3, {}], "passed": 1},
        {"checks": [{"numbers": 10}]},
    ]
    for number, content in enumerate(nonsense):
        write_json(folder.path / f"{number}.onnx.verdict.json", content)
    build(tmp_path)
    assert [line["passed"] for line in lines(tmp_path, "exports")] == ["REJECTED"] * 4
