"""The end of a chain: its files, their times side by side, the table, and whether the wish is fulfilled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.benchmark.machine import load, machine_facts
from lightdet.core.files import read_json, sha256_of, write_json, write_text
from lightdet.core.score import Score, best_of, primary_of
from lightdet.core.shown import shown, shown_lines
from lightdet.core.table import to_text
from lightdet.core.timing import paired_ratio
from lightdet.draw.attempt import attempt
from lightdet.export.choice import FLOAT32
from lightdet.report.chain import FILE_NAME, chain_table, plot_chain, read_chain
from lightdet.report.table import to_csv, to_markdown
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import finite, inside
from lightdet.runs.scores import scores_of
from lightdet.study.chain.files import ROUNDS, Made, Maker, timed
from lightdet.study.chain.plan import Plan, Step

WHOLE, TEACHER = "whole", "teacher"


@dataclass(slots=True)
class Line:
    """A row of the table. precision: "" for what is not exported. files: one for each run that is exported."""

    name: str
    told: str
    runs: Sequence[RunFolder]
    scores: list[float | None]
    precision: str = ""
    made: Made | None = None
    times: list[float] = field(default_factory=list)


def finish(plan: Plan, done: Mapping[str, Sequence[RunFolder]]) -> int:
    """Makes and judges the files, times them, writes chain.json, chain.md, chain.csv and chain.png into the study.
    Exit code: 0 where the wish is fulfilled, else 1."""
    score = primary_of(scores_of(plan.run))
    last = next(step for step in reversed(plan.steps) if step.taught or not plan.teachers)
    reached = [_score(folder, score) for folder in done[last.name]]
    known = [value for value in reached if value is not None]
    best = reached.index(best_of(score, known)) if known else 0
    lines = _lines(plan, done, last, best, score)
    told = {**_timed(plan, lines), "run": str(plan.run.path), "wish": str(plan.wish)}
    told |= {"score": {"title": score.title, "higher_is_better": score.higher_is_better}}
    told["rows"] = [_row(line, lines[0]) for line in lines]
    verdict, fulfilled = _verdict(plan, lines, last, score)
    write_json(plan.study_path / FILE_NAME, {**told, "verdict": verdict})
    _write(plan.study_path)
    print(f"lightdet: {shown(verdict)}", flush=True)
    return 0 if fulfilled else 1


def _lines(plan: Plan, done: Mapping[str, Sequence[RunFolder]], last: Step, best: int, score: Score) -> list[Line]:
    maker = Maker(plan.form, plan.trust_modules)
    whole = Line(WHOLE, "the given run", [plan.run], [_score(plan.run, score)], FLOAT32)
    whole.made = maker.make(plan.run, plan.study_path / "files", FLOAT32, WHOLE)
    lines = [whole]
    others = [RunFolder(path) for path in plan.teachers if path != plan.run.path.resolve()]
    for number, teacher in enumerate(each for each in others if each.read_results()):
        name = TEACHER if number == 0 else f"{TEACHER}-{number + 1}"
        lines.append(Line(name, "teaches", [teacher], [_score(teacher, score)]))
    for step in plan.steps:
        line = Line(step.name, _words(step), done[step.name], [_score(run, score) for run in done[step.name]], FLOAT32)
        line.made = maker.make(line.runs[best], line.runs[best].path, FLOAT32)
        lines.append(line)
    if plan.precision != FLOAT32:
        runs = done[last.name]
        files = [maker.make(run, run.path, plan.precision) for run in runs]
        scores = [made.score for made in files]
        lines.append(
            Line(plan.precision, f"{last.name} in {plan.precision}", runs, scores, plan.precision, files[best])
        )
    return lines


def _words(step: Step) -> str:
    return f"{step.of_all} left, {'taught' if step.taught else 'not taught'}"


def _score(folder: RunFolder, score: Score) -> float | None:
    return finite(inside(folder.read_results(), "metrics", score.key))


def _timed(plan: Plan, lines: Sequence[Line]) -> dict[str, Any]:
    """Fills in the times, of an earlier call for the same files where there is one; returns what is kept of them."""
    places = {line.name: line.made.place for line in lines if line.made is not None and line.made.place is not None}
    hashes = {name: sha256_of(place) for name, place in places.items()}
    known = read_json(plan.study_path / FILE_NAME)
    times, kept = known.get("times"), {}
    if known.get("files") == hashes and isinstance(times, dict) and times.keys() == hashes.keys():
        kept = {key: known.get(key) for key in ("files", "times", "threads", "machine", "load", "rounds")}
    else:
        source = Maker(plan.form, plan.trust_modules).source(plan.run)
        times, threads = timed(places, source)
        kept = {"files": hashes, "times": times, "threads": threads, "machine": machine_facts(), "load": load()}
        kept["rounds"] = ROUNDS
    for line in lines:
        line.times = times.get(line.name, [])
    return kept


def _row(line: Line, whole: Line) -> dict[str, Any]:
    cost = line.runs[0].read_results().get("footprint")
    made, place = line.made, line.made.place if line.made is not None else None
    return {
        "name": line.name,
        "told": line.told,
        "precision": line.precision,
        "runs": [str(run.path) for run in line.runs],
        "scores": line.scores,
        "parameters": inside(cost, "parameters"),
        "gflops": inside(cost, "gflops"),
        "file": None if place is None else str(place),
        "bytes": None if made is None else made.size,
        "ms": float(np.median(line.times)) if line.times else None,
        "ratio": paired_ratio(line.times, whole.times) if line.times and whole.times else None,
        "verdict": "" if made is None else made.verdict,
    }


def _verdict(plan: Plan, lines: Sequence[Line], last: Step, score: Score) -> tuple[str, bool]:
    """The file to take, or what is not reached, in a sentence; and whether the wish is fulfilled."""
    whole = lines[0]
    ends = [line for line in lines if line.name in (last.name, plan.precision)]
    passed = [line for line in ends if line.made is not None and line.made.passed and line.times]
    if not passed:
        reasons = "; ".join(f"{line.name}: {line.made.verdict}" for line in ends if line.made is not None)
        return f"not reached: no file passes its checks: {reasons}", False
    take = passed[0]
    if len(passed) > 1 and paired_ratio(passed[1].times, passed[0].times)["q75"] < 1:
        take = passed[1]
    assert take.made is not None
    found = f"{take.made.place}, {take.precision}, which passes its checks"
    if whole.times:
        ratio = paired_ratio(take.times, whole.times)
        found += f" and takes {ratio['median']:.2f} ({ratio['q25']:.2f} to {ratio['q75']:.2f}) of the time of the whole"
        if plan.wish.target == "latency" and ratio["q25"] > plan.wish.amount:
            return f"not reached: {plan.wish}; the fastest file is {found}", False
    if plan.precision != FLOAT32 and take.precision == FLOAT32:
        other = next(line for line in ends if line.precision == plan.precision)
        why = "does not pay here" if other in passed else f"is left out ({other.made and other.made.verdict})"
        found += f"; {plan.precision} {why}"
    return f"reached: {plan.wish}; take {found}", True


def _write(study: Path) -> None:
    """The table for people, from what chain.json holds."""
    chain, troubles = read_chain(study)
    assert chain is not None, troubles
    table = chain_table(chain)
    write_text(study / "chain.md", to_markdown(table))
    write_text(study / "chain.csv", to_csv(table))
    attempt("chain.png", partial(plot_chain, chain, study / "chain.png"))
    header, numeric = [column.name for column in table.columns], [column.numeric for column in table.columns]
    text = to_text(header, [[cell.text for cell in line] for line in table.lines], numeric)
    print(f"\n{shown_lines(text)}\n\nlightdet: {study}/chain.md, chain.csv and chain.png hold this table", flush=True)
