"""The numbers of explanations as tables: for a terminal, Markdown and CSV. No torch here."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightdet.core.table import to_csv, to_markdown, to_text
from lightdet.explain.compare import BETTER, FEW, WORSE

MARKS = {BETTER: " +", WORSE: " -"}
TRIVIAL = "a trivial map"
NOTHING = "nothing"
COLUMNS = (
    *("class", "method", "score", "cases", "mean", "low", "high"),
    *("against", "difference", "difference_low", "difference_high", "verdict"),
)


def methods_table(facts: Mapping[str, Any]) -> tuple[list[str], list[list[str]], list[bool]]:
    """Header, lines and which columns are numbers: a line for each method, the best in `pointing` first."""
    titles = facts["titles"]
    header = ["method", *titles.values(), "stability", "sanity\nlast / half / all", "ms", "beats the trivial maps in"]
    lines = [
        [
            name,
            *(_cell(found["scores"].get(key)) for key in titles),
            _check(found["checks"]["stability"]),
            " / ".join(_check(found["checks"][f"sanity_{stage}"]) for stage in ("last", "half", "all")),
            f"{found['milliseconds']:.1f}",
            _beats(found, titles),
        ]
        for name, found in facts["methods"].items()
    ]
    return header, lines, [False, *(True for _ in titles), True, True, True, False]


def classes_table(facts: Mapping[str, Any]) -> tuple[list[str], list[list[str]], list[bool]]:
    """The same for each class, without the checks: + is better than the best trivial map, - is worse."""
    titles = facts["titles"]
    lines = [
        [
            name,
            method,
            str(max(each["cases"] for each in scores.values())),
            *(_marked(scores.get(key)) for key in titles),
        ]
        for name in facts["classes"]
        for method, found in facts["methods"].items()
        if (scores := found["per_class"].get(name))
    ]
    return ["class", "method", "cases", *titles.values()], lines, [False, False, True, *(True for _ in titles)]


def as_text(facts: Mapping[str, Any]) -> str:
    """For a terminal: what was measured, the table of the methods, and how to read it."""
    return "\n".join([facts["measured"], "", to_text(*methods_table(facts)), "", *facts["notes"]])


def as_markdown(facts: Mapping[str, Any]) -> str:
    """Both tables."""
    header, lines, numeric = methods_table(facts)
    parts = [facts["measured"], to_markdown([name.replace("\n", " ") for name in header], lines, numeric)]
    parts += ["\n\n".join(facts["notes"]), "## Classes", to_markdown(*classes_table(facts))]
    return "\n\n".join(parts) + "\n"


def as_csv(facts: Mapping[str, Any]) -> str:
    """A line for each class ("" is all of them), method and score."""
    lines: list[Sequence[Any]] = [COLUMNS]
    for method, found in facts["methods"].items():
        for of_class, scores in (("", found["scores"]), *found["per_class"].items()):
            lines += [
                [of_class, method, key, *(each.get(column) for column in COLUMNS[3:])] for key, each in scores.items()
            ]
        lines += [["", method, key, None, value] for key, value in found["checks"].items()]
        lines.append(["", method, "milliseconds", None, found["milliseconds"]])
    return to_csv(lines)


def _beats(found: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    if found["trivial"]:
        return TRIVIAL
    verdicts = {titles[key]: each["verdict"] for key, each in found["scores"].items()}
    if FEW in verdicts.values() and not {BETTER, WORSE} & {*verdicts.values()}:
        return FEW
    better = ", ".join(title for title, verdict in verdicts.items() if verdict == BETTER) or NOTHING
    worse = ", ".join(title for title, verdict in verdicts.items() if verdict == WORSE)
    return f"{better}; worse in {worse}" if worse else better


def _cell(each: Mapping[str, Any] | None) -> str:
    if each is None:
        return ""
    return f"{_number(each['mean'])} [{_number(each['low'])}, {_number(each['high'])}]"


def _marked(each: Mapping[str, Any] | None) -> str:
    return "" if each is None else f"{_number(each['mean'])}{MARKS.get(each['verdict'], '')}"


def _check(value: float | None) -> str:
    return _number(value) or "-"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
