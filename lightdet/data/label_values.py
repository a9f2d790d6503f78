"""From the text of a cell to a class: what a setting says that the values of a table mean."""

import math
from collections.abc import Mapping, Sequence

from lightdet.core.errors import LightdetError

SEVERAL = "|"  # between the labels of an image that has several


class LabelValues:
    """`values`: {cell: class}; a class of None leaves images out. Without it a cell is the name of a class.

    A cell and a key are equal where their texts are, or where both are the same number: 1 is 1.0. Raises LightdetError
    for anything but a mapping of such kind.
    """

    def __init__(self, values: Mapping[object, str | None] | None) -> None:
        if values is not None and not isinstance(values, Mapping):
            raise LightdetError(f"data.reader.values={values}: a mapping of values to classes, {{0:good,1:defective}}")
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
        """Whether images of this value are left out."""
        return self._known(cell) and self._name(cell) is None

    def label(self, cell: str, classes: Sequence[str], place: str) -> int:
        """The label of a value. Raises LightdetError, which names `place`, for one that means no class."""
        if self.classes is None and cell in classes:
            return classes.index(cell)
        if self._known(cell):
            return classes.index(str(self._name(cell)))
        if SEVERAL in cell:
            raise LightdetError(
                f"{place}: several labels in {cell[:60]!r}; an image has one class here, leave one of them"
            )
        known = ", ".join(classes if self.classes is None else self._texts)
        setting = "classes" if self.classes is None else "values"
        raise LightdetError(
            f"{place}: unknown label {cell[:60]!r}; known are {known[:200]}; correct it, or data.reader.{setting}"
        )

    def _known(self, cell: str) -> bool:
        return cell in self._texts or number(cell) in self._numbers

    def _name(self, cell: str) -> str | None:
        return self._texts[cell] if cell in self._texts else self._numbers[number(cell) or 0.0]


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
