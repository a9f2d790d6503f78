"""From the text of a cell to a class: what a setting says that the values of a table mean."""

import math
from collections.abc import Mapping, Sequence

from lightdet.core.errors import LightdetError

SEVERAL = "|"  # between the labels of an image that has several


class LabelValues:
    """`values`: {cell: class}; a class of None leaves images out. Without it a cell is the name of a class.

    A cell with several values has "|" between them, unless the whole cell is a class or a key. A cell and a key are
    equal where their texts are, or where both are the same number: 1 is 1.0. Raises LightdetError for anything but a
    mapping of such kind.
    """

    def __init__(self, values: Mapping[object, str | None] | None) -> None:
        if values is not None and not isinstance(values, Mapping):
            raise LightdetError(f"data.reader.values={values}: a mapping of values to classes, {{0:good,1:defective}}")
        wrong = next((name for name in (values or {}).values() if not isinstance(name, str | None)), None)
        if wrong is not None:
            raise LightdetError(f"data.reader.values: {wrong} is no class; give its name, a text, or null to leave out")
        self._texts = {form: name for key, name in (values or {}).items() for form in _forms(key)}
        numbers = {number(str(key)): name for key, name in (values or {}).items() if not isinstance(key, bool)}
        self._numbers = {key: name for key, name in numbers.items() if key is not None}
        names = [name for name in (values or {}).values() if name is not None]
        self.classes: tuple[str, ...] | None = None if values is None else tuple(dict.fromkeys(names))

    def check(self, classes: Sequence[str]) -> None:
        """Raises LightdetError for a class of `values` that is none of `classes`."""
        unknown = next((name for name in self.classes or () if name not in classes), None)
        if unknown is not None:
            raise LightdetError(f"data.reader.values: {unknown!r} is none of data.reader.classes, {', '.join(classes)}")

    def leave_out(self, cell: str) -> bool:
        """Whether images of this cell are left out: where one of its values is."""
        return any(self.known(part) and self._name(part) is None for part in self._parts(cell, ()))

    def labels(self, cell: str, classes: Sequence[str], place: str) -> tuple[int, ...]:
        """The labels of a cell, ascending, one or, where it has several values, each once. Raises LightdetError, which
        names `place`, for a value that means no class."""
        return tuple(sorted({self._label(part, cell, classes, place) for part in self._parts(cell, classes)}))

    def _label(self, value: str, cell: str, classes: Sequence[str], place: str) -> int:
        if self.classes is None and value in classes:
            return classes.index(value)
        if self.known(value):
            return classes.index(str(self._name(value)))
        known = ", ".join(classes if self.classes is None else self._texts)
        setting = "classes" if self.classes is None else "values"
        within = "" if value == cell else f" in {cell[:60]!r}"
        raise LightdetError(
            f"{place}: unknown label {value[:60]!r}{within}; known are {known[:200]}; correct it, or "
            f"data.reader.{setting}"
        )

    def _parts(self, cell: str, classes: Sequence[str]) -> list[str]:
        whole = SEVERAL not in cell or cell in classes or self.known(cell)
        return [cell] if whole else parts_of(cell)

    def known(self, cell: str) -> bool:
        """Whether `values` has the whole cell, which may be empty."""
        return cell in self._texts or number(cell) in self._numbers

    def _name(self, cell: str) -> str | None:
        return self._texts[cell] if cell in self._texts else self._numbers[number(cell) or 0.0]


def parts_of(cell: str) -> list[str]:
    """The values of a cell."""
    return [part.strip() for part in cell.split(SEVERAL)]


def _forms(key: object) -> tuple[str, ...]:
    """The texts that a key stands for."""
    return (str(key).lower(), str(key), str(key).upper()) if isinstance(key, bool) else (str(key),)


def number(text: str) -> float | None:
    """A finite number; None for any other text."""
    try:
        value = float(text.replace("_", "?"))  # Python reads 1_0 as 10
    except ValueError:
        return None
    return value if math.isfinite(value) else None
