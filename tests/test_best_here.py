"""`export --for this-machine`: a table of what was tried, the fastest file that passes, plain words about int8."""

import json
from pathlib import Path

import pytest
from exported import Exported

from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.export import best_here
from lightdet.export.best_here import TABLE, Candidate, Timed, _advice, pairs_of
from lightdet.runtime import load

pytest.importorskip("onnxruntime")


def test_the_fastest_that_passes_is_kept_with_the_table(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(best_here, "ROUNDS", 3)
    out = tmp_path / "fast"
    words = ["export", str(made.run.path), "--for", "this-machine", "--out", str(out)]
    words += ["--format", "onnx", "--precision", "float32,float16"]
    assert main(words) == 0
    told = capsys.readouterr().out
    table = json.loads((out / TABLE).read_text())
    kept = out / table["recommended"]["file"]
    assert f"recommended: onnx, {kept.stem.removeprefix('onnx-')}" in told and "images/s" in told
    rows = table["rows"]
    assert {row["precision"] for row in rows} == {"float32", "float16"} and {row["threads"] for row in rows} >= {1}
    assert [row["ratio"] for row in rows] == sorted(row["ratio"] for row in rows), "the fastest first"
    assert all(row["p50_ms"] <= row["p99_ms"] and row["file_bytes"] > 1000 for row in rows)
    assert {path.name for path in out.iterdir()} == {
        TABLE,
        kept.name,
        f"{kept.name}.verdict.json",
        f"{kept.name}.verdict.html",
    }
    load(kept, threads=table["recommended"]["threads"])(str(made.image))
    (out / "thesis.txt").write_text("precious")
    assert main(words) == 2
    assert "thesis.txt: another file" in capsys.readouterr().err and (out / "thesis.txt").read_text() == "precious"


def test_formats_without_such_a_precision_are_refused() -> None:
    assert pairs_of(["onnx"], ["float32"])[0] == [("onnx", "float32")]
    with pytest.raises(LightdetError, match="no such format"):
        pairs_of(["onx"], [])
    with pytest.raises(LightdetError, match="no format that is installed"):
        pairs_of(["onnx"], ["bfloat16"])


@pytest.mark.parametrize(("time", "words"), [(0.5, "int8 pays"), (1.3, "int8 does not pay")])
def test_int8_is_compared_with_the_best_in_float32(time: float, words: str) -> None:
    def timed(form: str, precision: str, time: float) -> Timed:
        return Timed(Candidate(form, precision, Path("x"), True, "passed"), 1, [time] * 5, [time], 1, None)

    slow, best, small = timed("onnx", "float32", 2.0), timed("openvino", "float32", 1.0), timed("onnx", "int8", time)
    (line,) = _advice([slow, best, small])
    assert (
        line.startswith(words) and "openvino, float32, 1 thread, the best in float32" in line and f"{time:.2f}" in line
    )
    assert _advice([slow, best]) == []
