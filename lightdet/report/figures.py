"""Plots of a study: the primary score over the epochs, over parameters and over operations."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightdet.core.score import Score, best_of, primary_of
from lightdet.draw.attempt import save_figure
from lightdet.draw.curves import DOTS_PER_INCH, dress, hex_colour, legend, note, over_whole
from lightdet.draw.palette import FAINT, INK, class_colour, font, literal, shorten
from lightdet.report.rows import Row, Value

NAMED = 18  # rows with a colour and a name in one figure
LETTERS = 12  # px high, of a name in a legend
MOST_LABEL = 300  # px of a line of it
MOST_LINES = 3  # of a name, where the legend is short enough
ALL_LINES = 24  # of a legend with names of several lines
Point = tuple[Row, float, Value]  # row, its cost, its primary score


def plot_over_epochs(rows: Sequence[Row], path: Path) -> Path:
    """A line per seed through the epochs that were validated, a colour per row; of many rows the best ones.

    A row that shares the training of another row has no line.
    """
    score = primary_of(rows[0].scores)
    curves = {row.number: [job.curves[score.title] for job in row.jobs if score.title in job.curves] for row in rows}
    drawn = [row for row in rows if curves[row.number] and not all(job.shared_with for job in row.jobs)]
    reached = {row.number: best_of(score, [best_of(score, ys) for _, ys in curves[row.number]]) for row in drawn}
    best = sorted(drawn, key=lambda row: reached[row.number], reverse=score.higher_is_better)[:NAMED]
    figure, axes = empty()
    for row in (row for row in drawn if row in best):
        colour = _colour(row, best)
        for index, (epochs, values) in enumerate(curves[row.number]):
            marker = "o" if len(epochs) <= 30 else ""
            label = "_nolegend_" if index else legend_name(row, len(best))
            axes.plot(epochs, values, color=colour, linewidth=1.5, marker=marker, markersize=3, label=label)
    axes.set(ylabel=f"{score.title} on validation")
    if all(value >= 0 for value in reached.values()):
        axes.set_ylim(bottom=0)
    over_whole(axes, "epoch")
    some = f", the best {NAMED} of {len(drawn)} rows" if len(drawn) > NAMED else ""
    dress(axes, f"{score.title} over the epochs{some}")
    return finish(figure, axes, path, "no epoch was validated")


def plot_cost(rows: Sequence[Row], cost: Callable[[Row], float | None], words: str, unit: float, path: Path) -> Path:
    """The primary score over a cost divided by `unit`, with spreads over seeds; the line joins the rows that no other
    row beats."""
    score = primary_of(rows[0].scores)
    points: list[Point] = []
    for row in rows:
        price, value = cost(row), row.value(score)
        if price is not None and value is not None:
            points.append((row, price / unit, value))
    front = pareto(points, score)
    named = [row for row, _, _ in (points if len(points) <= NAMED else front)][:NAMED]
    figure, axes = empty()
    axes.step(
        [x for _, x, _ in front],
        [value.mean for _, _, value in front],
        where="post",
        color=hex_colour(FAINT),
        alpha=0.6,
    )
    rest = [point for point in points if point[0] not in named]
    if rest:
        _mark(axes, rest, hex_colour(FAINT), "_nolegend_")
    for point in points:
        if point[0] in named:
            _mark(axes, [point], _colour(point[0], named), legend_name(point[0], len(named)))
    _write_numbers(axes, [point for point in points if point[0] in named])
    prices = [x for _, x, _ in points]
    if prices and min(prices) > 0 and max(prices) > 20 * min(prices):
        axes.set_xscale("log")
    elif prices and min(prices) < 0.5 * max(prices):
        axes.set_xlim(0, 1.1 * max(prices))
    axes.margins(x=0.15, y=0.15)
    axes.set(xlabel=words, ylabel=f"{score.title} on validation")
    dress(axes, f"{score.title} and cost")
    return finish(figure, axes, path, "no finished row")


def _mark(axes: Axes, points: Sequence[Point], colour: str, label: str) -> None:
    """Dots with spreads, all of one colour and drawn at once: hundreds of rows take no longer than one."""
    x, y = [x for _, x, _ in points], [value.mean for _, _, value in points]
    spreads = [math.nan if value.spread is None else value.spread for _, _, value in points]
    axes.errorbar(x, y, yerr=spreads, color=colour, capsize=3, fmt="none")
    axes.plot(x, y, "o", color=colour, markersize=6, label=label)


def pareto(points: Sequence[Point], score: Score) -> list[Point]:
    """The points that no other beats in cost and score at once, cheapest first."""
    sign = 1 if score.higher_is_better else -1
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point[1], -sign * point[2].mean)):
        if not front or sign * point[2].mean > sign * front[-1][2].mean:
            front.append(point)
    return front


def _write_numbers(axes: Axes, points: Sequence[Point]) -> None:
    """Row numbers beside the points: those of one point together, those of points close to each other further right."""
    places: dict[tuple[float, float], list[str]] = {}
    for row, x, value in points:
        places.setdefault((x, value.mean), []).append(str(row.number))
    if not places:
        return
    widths = [max(place[side] for place in places) - min(place[side] for place in places) for side in (0, 1)]
    written: list[tuple[float, float]] = []
    for x, y in sorted(places):
        near = [abs(x - other) <= 0.03 * widths[0] and abs(y - beside) <= 0.04 * widths[1] for other, beside in written]
        offset = (8 + 20 * (sum(near) % 3), -3)
        numbers = ", ".join(places[x, y])
        axes.annotate(numbers, (x, y), offset, textcoords="offset points", fontsize=8, color=hex_colour(INK))
        written.append((x, y))


def empty() -> tuple[Figure, Axes]:
    """A wide figure with one plot."""
    figure = Figure(figsize=(9.6, 4.8), dpi=DOTS_PER_INCH, layout="constrained")
    return figure, figure.subplots()


def finish(figure: Figure, axes: Axes, path: Path, without: str, of: str = "row") -> Path:
    """Save it with a legend `of` something; or with the words `without`, where there is nothing in it."""
    if axes.get_legend_handles_labels()[1]:
        legend(axes, of)
    else:
        note(axes, without)
    return save_figure(figure, path)


def _colour(row: Row, named: Sequence[Row]) -> str:
    return hex_colour(class_colour(row.number - 1) if row in named else FAINT)  # one colour in all figures


def legend_name(row: Row, beside: int) -> str:
    """Number and choices, in as many lines as fit into a legend of `beside` names."""
    lines, words = [f"{row.number}:"], row.label.split()
    lines_of_name = max(1, min(MOST_LINES, ALL_LINES // beside))
    for place, word in enumerate(words):
        longer = f"{lines[-1]} {word}"
        if font(LETTERS).getlength(longer) <= MOST_LABEL:
            lines[-1] = longer
        elif len(lines) < lines_of_name:
            lines.append(word)
        else:
            lines[-1] = " ".join([lines[-1], *words[place:]])
            break
    return "\n".join(literal(shorten(line, LETTERS, MOST_LABEL)) for line in lines)
