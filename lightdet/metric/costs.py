"""What it costs to take one class for another, and the decision that costs least. No torch here."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightdet.core.errors import LightdetError

Costs = Mapping[str, float | Mapping[str, float]]


def cost_matrix(costs: Costs | None, classes: Sequence[str]) -> np.ndarray:
    """(C, C) float64: the cost of deciding for the column where the row is true; 0 for the right decision, else 1 where
    `costs` says nothing.

    `costs`: true class -> the cost of every other decision, or decided class -> cost. Names are equal where their texts
    are: a command line makes a number of 10. Raises LightdetError for anything but a mapping, for a name that is no
    class, and for a cost that is no number from 0.
    """
    if costs is not None and not isinstance(costs, Mapping):
        raise LightdetError(f"model.costs={costs}: give a mapping of classes to costs, 'model.costs={{CLASS:10}}'")
    matrix = 1.0 - np.eye(len(classes))
    for true, value in (costs or {}).items():
        row = _place(true, classes)
        for decided, cost in (value if isinstance(value, Mapping) else dict.fromkeys(classes, value)).items():
            column = _place(decided, classes)
            if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < float("inf"):
                raise LightdetError(f"model.costs: {true} taken for {decided} costs {cost}; give a number from 0")
            if column != row:
                matrix[row, column] = cost
    return matrix


def cheapest(probabilities: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """probabilities (N, C), costs (C, C) -> (N,) the decision of the least expected cost; of equal ones the first."""
    return (probabilities @ costs).argmin(axis=1)


def _place(name: object, classes: Sequence[str]) -> int:
    if str(name) not in classes:
        raise LightdetError(f"model.costs: {name} is no class of the data; these are {', '.join(classes)}")
    return list(classes).index(str(name))
