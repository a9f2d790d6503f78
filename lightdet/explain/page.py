"""The HTML pages of a part and of a lot, which need no other file.

The templates have the markup, with every value escaped by Jinja; this file gives them plain values. A policy in the
head of each page forbids every connection, and every style and script but the page's own.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lightdet.draw.curves import hex_colour
from lightdet.draw.heat import COLOURS, LEGEND
from lightdet.draw.palette import ALARM, FAINT, INK, PAPER, class_colour
from lightdet.explain.part import MADE_BY, Part

HERE = Path(__file__).parent
STOPS = 24  # colours of the legend


def part_page(part: Part, classes: Sequence[str], lot: str = "") -> str:
    """The page of one part. `classes`: names by label; `lot`: link to the page of its lot, "" without one."""
    facts = part.facts
    return (
        _environment()
        .get_template("part.html")
        .render(
            part=facts,
            pictures=part.pictures,
            labels={name: label for label, name in enumerate(classes)},
            costs=facts["decision"]["expected_costs"],
            lot=lot,
            **_shared(),
        )
    )


def lot_page(lot: Mapping[str, Any], pictures: Mapping[str, Sequence[str]]) -> str:
    """The page of a lot: `lot` as `Lot.facts` gives it; pictures: name of a part -> its thumbnails."""
    script = (HERE / "lot.js").read_text(encoding="utf-8")
    return _environment().get_template("lot.html").render(lot=lot, pictures=pictures, script=script, **_shared(script))


def _shared(script: str = "") -> dict[str, Any]:
    names = {"paper": PAPER, "ink": INK, "faint": FAINT, "alarm": ALARM, "line1": class_colour(1)}
    variables = ":root{" + "".join(f"--{name}:{hex_colour(colour)};" for name, colour in names.items()) + "}\n"
    style = variables + (HERE / "page.css").read_text(encoding="utf-8")
    policy = [
        "default-src 'none'",
        "img-src data:",
        f"style-src '{_hash(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return {
        "made_by": MADE_BY,
        "policy": "; ".join([*policy, f"script-src '{_hash(script)}'"] if script else policy),
        "style": style,
        "stops": _stops(),
        "legend_words": LEGEND,
    }


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@lru_cache
def _stops() -> list[str]:
    """The colours of a heat map from nothing to the strongest."""
    values = matplotlib.colormaps[COLOURS]([index / (STOPS - 1) for index in range(STOPS)], bytes=True)
    return [hex_colour((red, green, blue)) for red, green, blue, _ in values.tolist()]


@lru_cache
def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "two": lambda value: f"{value:.2f}",
        "three": lambda value: f"{value:.3f}",
        "whole": lambda value: f"{value:.0f}",
        "colour": lambda label: hex_colour(FAINT if label is None else class_colour(label)),
    }
    return environment
