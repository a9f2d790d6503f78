"""The end of a chain: which file is taken, what is not reached, and the table in the study and in its report."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import chain_standin
import pytest
from study_factory import add_job

from lightdet.cli.main import main
from lightdet.core.files import write_json
from lightdet.report.chain import read_chain
from lightdet.runs.folder import RunFolder
from lightdet.study.chain import finish as end
from lightdet.study.chain.command import parse, plan_of
from lightdet.study.chain.files import Made

pytest.importorskip("torch_pruning")
pytest.importorskip("onnxruntime")
REJECTED = "rejected: mAP50, val: 0.61"
End = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> End:
    """`finish(words, times, rejected)`: the end of a chain of one step with two seeds, whose files take `times` ms
    (whole, float32, int8); its exit code, chain.json and what it says."""
    monkeypatch.chdir(tmp_path)
    whole = chain_standin.finished(tmp_path / "runs" / "whole" / "light" / "s3")
    study = tmp_path / "runs" / "chain"
    runs = [add_job(study, {"step": "1-prune"}, seed=seed) for seed in (0, 1)]
    (study / "1-prune").mkdir()
    for run, score in zip(runs, (0.7, 0.76), strict=True):
        cost = {"parameters": 500_000, "gflops": 0.001}
        run.write_results({**run.read_results(), "metrics": {**run.read_results()["metrics"], "map50": score}})
        write_json(run.results_path, {**run.read_results(), "footprint": cost})
    timings: list[Mapping[str, Path]] = []

    def run_it(words: list[str], times: tuple[float, float, float], rejected: bool = False) -> Any:
        def make(maker: Any, run: RunFolder, folder: Path, precision: str, name: str = "model") -> Made:
            folder.mkdir(exist_ok=True)
            place = folder / f"{name}-{precision}.onnx"
            place.write_bytes(f"{run.path} {precision}".encode())
            small = precision == "int8"
            return Made(place, not (small and rejected), REJECTED if small and rejected else "passed", 0.72)

        def timed(files: Mapping[str, Path], source: Any) -> Any:
            timings.append(files)
            return {name: [ms, ms * 1.1, ms * 0.9] for name, ms in zip(files, times, strict=True)}, 2

        monkeypatch.setattr(end.Maker, "make", make)
        monkeypatch.setattr(end.Maker, "source", lambda *given: None)
        monkeypatch.setattr(end, "timed", timed)
        plan = plan_of(parse([str(whole.path), *words, "--seeds", "0,1", "--out", "runs/chain"]))
        code = end.finish(plan, {"1-prune": runs})
        kept = json.loads(Path("runs/chain/chain.json").read_text())
        return code, {**kept, "timings": len(timings)}, capsys.readouterr().out

    return run_it


def test_int8_is_taken_where_it_passes_and_pays(finish: End) -> None:
    code, kept, said = finish(["--latency", "0.6"], (10.0, 6.0, 4.0))
    assert code == 0 and "reached: 0.6 of the latency; take " in said and "s1/model-int8.onnx, int8" in said
    assert "takes 0.40 (0.40 to 0.40) of the time" in said
    assert [row["name"] for row in kept["rows"]] == ["whole", "1-prune", "int8"]
    lines = list(csv.DictReader(Path("runs/chain/chain.csv").read_text().splitlines()))
    assert [float(line["mAP50"]) for line in lines] == pytest.approx([0.8, 0.73, 0.72])
    assert float(lines[1]["mAP50 spread"]) == pytest.approx(0.0424, abs=1e-4), "the seeds of the step"
    assert float(lines[1]["x the time"]) == pytest.approx(0.6) and float(lines[1]["parameters"]) == 500_000
    assert Path("runs/chain/chain.png").stat().st_size > 10_000
    assert finish(["--latency", "0.6"], (1.0, 9.0, 9.0))[1]["timings"] == 1, "the same files are not timed again"


@pytest.mark.parametrize(("rejected", "why"), [(True, "is left out (rejected: mAP50"), (False, "does not pay here")])
def test_float32_is_taken_where_int8_fails_or_is_slower(finish: End, rejected: bool, why: str) -> None:
    code, _, said = finish(["--flops", "0.6"], (10.0, 6.0, 4.0 if rejected else 6.5), rejected)
    assert code == 0 and "s1/model-float32.onnx, float32, which passes" in said and f"int8 {why}" in said


def test_what_is_not_reached_is_said(finish: End) -> None:
    code, kept, said = finish(["--latency", "0.6"], (10.0, 8.0, 7.0))
    assert code == 1 and "not reached: 0.6 of the latency; the fastest file is" in said and "0.70 (" in kept["verdict"]


def test_its_report_shows_the_chain_and_a_damaged_file_is_told(finish: End, capsys: pytest.CaptureFixture[str]) -> None:
    finish(["--flops", "0.6"], (10.0, 6.0, 4.0))
    quick = ["--sizes", "none", "--resamples", "100"]
    assert main(["report", "runs/chain", *quick]) == 0
    page = Path("runs/chain/report/report.html").read_text()
    assert "Chain: 0.6 of the FLOPs" in page and "Chain: score and time" in page
    assert Path("runs/chain/report/chain.csv").is_file() and Path("runs/chain/report/chain.png").is_file()
    for content in ('{"rows": 3}', '{"rows": [{}], "score": 1}', "{"):
        Path("runs/chain/chain.json").write_text(content)
        assert read_chain(Path("runs/chain"))[0] is None and len(read_chain(Path("runs/chain"))[1]) == 1
    capsys.readouterr()
    assert main(["report", "runs/chain", *quick]) == 1
    assert "chain.json" in capsys.readouterr().err
