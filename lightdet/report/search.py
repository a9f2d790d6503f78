"""The trials of a search, the best of them and the importance of the parameters, for its report. No Optuna here.

Everything comes from search.json, which the search keeps in the study's folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.draw.attempt import drawn
from lightdet.draw.curves import dress, hex_colour, over_whole
from lightdet.draw.palette import ALARM, FAINT, INK, class_colour
from lightdet.report.figures import empty, finish
from lightdet.report.rows import Row
from lightdet.report.table import DASH, Cell, Column, Table
from lightdet.runs.jobs import finite, inside

FILE_NAME = "search.json"
Trial = Mapping[str, Any]
Point = tuple[float, float, int]  # x, y, number of the trial


@dataclass(frozen=True, slots=True)
class SearchResult:
    """search.json, whose lists are lists."""

    objectives: Mapping[str, str]  # name -> maximize or minimize
    parameters: Sequence[str]
    trials: Sequence[Trial]
    best: Sequence[int]  # numbers of the trials that no other beats
    watched: str | None  # the column of metrics.csv by which trials were pruned
    importance: Mapping[str, Mapping[str, float]]


def read_search(study: Path) -> tuple[SearchResult | None, list[str]]:
    """The content of search.json, None for a study without a search; and a line about a broken file."""
    try:
        facts = read_json(study / FILE_NAME)
        if not facts:
            return None, []
        return SearchResult(
            {str(name): str(direction) for name, direction in dict(facts["objectives"]).items()},
            list(map(str, facts["parameters"])),
            [_trial(trial) for trial in facts["trials"]],
            [int(number) for number in facts["best"]],
            facts.get("watched"),
            {name: _numbers(shares) for name, shares in dict(facts["importance"]).items()},
        ), []
    except (LightdetError, OSError) as error:
        return None, [str(error)]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return None, [f"{study / FILE_NAME}: not what a search writes ({error!r})"]


def _trial(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial whose values are finite numbers; raises KeyError, TypeError or ValueError for what is none."""
    facts = {**trial, "values": _numbers(trial["values"]), "number": int(trial["number"]), "state": str(trial["state"])}
    return {**facts, "reached": finite(trial.get("reached"))}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): number for name, value in dict(values).items() if (number := finite(value)) is not None}


def search_table(search: SearchResult, rows: Sequence[Row]) -> Table:
    """A line per trial, by number."""
    columns = [Column("trial"), *(Column(name, numeric=False) for name in search.parameters)]
    columns += [Column(name) for name in search.objectives]
    columns += [Column("best", numeric=False), Column("state", numeric=False)]
    title = "Search: the trials" if len(search.objectives) == 1 else "Search: the trials and their Pareto front"
    table = Table("search_trials", title, columns)
    for trial in search.trials:
        settings = [Cell(str(inside(trial, "parameters", name) or DASH)) for name in search.parameters]
        values = [_amount(trial["values"].get(name)) for name in search.objectives]
        best = Cell("yes" if trial["number"] in search.best else "")
        state, reason = str(trial["state"]), str(trial.get("reason") or "")
        outcome = reason if reason.startswith(state) else ": ".join(filter(None, (state, reason)))
        table.lines.append([Cell(str(trial["number"]), trial["number"]), *settings, *values, best, Cell(outcome)])
        table.rows.append(_row(trial, rows))
    table.notes += _notes(search)
    return table


def _amount(value: Any) -> Cell:
    return Cell(DASH) if not isinstance(value, int | float) else Cell(f"{value:,.5g}", float(value))


def _row(trial: Trial, rows: Sequence[Row]) -> int:
    """The number of the row that a trial's run is in, else of the one that has its name; 0 where it has none."""
    jobs = [(row.number, job) for row in rows for job in row.jobs]
    name = f"trial-{trial['number']:04d}"
    by_run = [number for number, job in jobs if job.run and job.run == trial.get("run")]
    return next(iter(by_run + [number for number, job in jobs if job.name.partition("__")[0] == name]), 0)


def _notes(search: SearchResult) -> list[str]:
    notes = [
        "The best of many trials looks better than it is: the validation images chose it. Train it again with other "
        "seeds, or measure it on images that the search has not seen, before claiming a difference."
    ]
    pruned = sum(trial["state"] == "pruned" for trial in search.trials)
    if pruned:
        notes.append(
            f"{pruned} trials were pruned by {search.watched}: ended early, their values are of their last epoch."
        )
    for name, shares in search.importance.items():
        listed = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
        notes.append(f"What mattered for {name} (PED-ANOVA, Watanabe et al. 2023, arXiv 2304.10255): {listed}.")
    return notes


def plot_search(search: SearchResult, out: Path) -> dict[str, Path]:
    """Title -> picture: the trials one after another, or the first objective against each of the others."""
    names = list(search.objectives)
    if len(names) == 1:
        return drawn({"Search: trials": lambda: _plot_trials(search, names[0], out / "search_trials.png")})
    return drawn(
        {
            f"Search: {names[0]} and {other}": partial(
                _plot_front, search, names[0], other, out / f"search_front_{index}.png"
            )
            for index, other in enumerate(names[1:], 1)
        }
    )


def _plot_trials(search: SearchResult, name: str, path: Path) -> Path:
    """Values by the trial's number, and the best until then."""
    figure, axes = empty()
    done = [(trial["number"], trial["values"][name]) for trial in search.trials if name in trial["values"]]
    choose = max if search.objectives[name] == "maximize" else min
    so_far = [choose(value for _, value in done[: index + 1]) for index in range(len(done))]
    axes.step([number for number, _ in done], so_far, where="post", color=hex_colour(FAINT), label="best until then")
    _points(axes, search, [(number, value, number) for number, value in done])
    reached = [(trial["number"], trial["reached"]) for trial in search.trials if trial["state"] == "pruned"]
    ended = [(number, value) for number, value in reached if isinstance(value, int | float)]
    if ended:
        x, y = zip(*ended, strict=True)
        axes.plot(x, y, "x", color=hex_colour(ALARM), label="pruned, at its last epoch")
    axes.set(ylabel=name)
    over_whole(axes, "trial")
    dress(axes, f"{name} of the trials")
    return finish(figure, axes, path, "no finished trial", "trial")


def _plot_front(search: SearchResult, first: str, other: str, path: Path) -> Path:
    """The first objective over another one; the front of all objectives is joined and numbered."""
    figure, axes = empty()
    done = {trial["number"]: trial["values"] for trial in search.trials if {first, other} <= trial["values"].keys()}
    front = sorted((done[number][other], done[number][first]) for number in search.best if number in done)
    if len(search.objectives) == 2:
        axes.plot([x for x, _ in front], [y for _, y in front], color=hex_colour(FAINT), alpha=0.6, label="_nolegend_")
    _points(axes, search, [(values[other], values[first], number) for number, values in done.items()])
    prices = [x for x, _ in front]
    if prices and min(prices) > 0 and max(prices) > 20 * min(prices):
        axes.set_xscale("log")
    axes.margins(x=0.15, y=0.15)
    axes.set(xlabel=f"{other} ({search.objectives[other]})", ylabel=f"{first} ({search.objectives[first]})")
    dress(axes, f"{first} and {other}: Pareto front of {len(done)} trials")
    return finish(figure, axes, path, "no finished trial", "trial")


def _points(axes: Axes, search: SearchResult, points: Sequence[Point]) -> None:
    """The best ones filled and numbered, the others hollow."""
    for label, wanted, colour in (("no other is better", True, 2), ("finished", False, 1)):
        chosen = [(x, y, number) for x, y, number in points if (number in search.best) is wanted]
        look = hex_colour(class_colour(colour))
        if chosen:
            xs, ys, _ = zip(*chosen, strict=True)
            axes.plot(xs, ys, "o", color=look, markerfacecolor=look if wanted else "none", label=label)
        for x, y, number in chosen if wanted else []:
            axes.annotate(str(number), (x, y), (6, 5), textcoords="offset points", fontsize=8, color=hex_colour(INK))
