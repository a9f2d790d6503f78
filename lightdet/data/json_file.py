"""Reads the JSON files of a dataset, which are not trusted."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.data.files import read_text


def load_json(path: Path, unused: Collection[str] = ()) -> Any:
    """The content of a JSON file in which no key of an object is repeated; the keys in `unused` are dropped.

    NaN and Infinity, which scripts write where a value is missing, are numbers here: who uses one checks it. Raises
    LightdetError for a file that is no JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for index, name in enumerate(names) if name in names[:index])
            raise LightdetError(f"{path}: the key {repeated[:40]!r} occurs twice in one object; remove one of the two")
        return {name: value for name, value in content.items() if name not in unused}

    try:
        return json.loads(read_text(path), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise LightdetError(f"{path}: not JSON ({reason}); is it complete? export it again") from error


def entries(holder: dict[str, Any], key: str, said_by: Path, place: str = "") -> list[dict[str, Any]]:
    """The list of objects under a key. Raises LightdetError for anything else."""
    found = holder.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        where = f"{said_by}: {place}: " if place else f"{said_by}: "
        raise LightdetError(f"{where}{key!r} is missing or not a list of objects; export it again")
    return found


def numbers(value: object, place: str, said_by: Path | str) -> list[float]:
    """A flat list of numbers. Raises LightdetError for anything else."""
    if not isinstance(value, list) or any(type(number) not in (int, float) for number in value):
        raise LightdetError(f"{said_by}: {place}: a list of numbers is expected; correct or remove it")
    try:
        return [float(number) for number in value]
    except OverflowError as error:
        raise LightdetError(f"{said_by}: {place}: a number is beyond all images; correct or remove it") from error


def points(value: object, place: str, said_by: Path | str, least: int = 1) -> list[tuple[float, float]]:
    """A list of [x, y], `least` at least. Raises LightdetError for anything else."""
    pairs = [numbers(pair, place, said_by) for pair in value] if isinstance(value, list) else []
    if len(pairs) < least or any(len(pair) != 2 for pair in pairs):
        raise LightdetError(
            f"{said_by}: {place}: {least} or more points [x, y] are expected here; draw it again or remove it"
        )
    return [(pair[0], pair[1]) for pair in pairs]
