"""What somebody wants to be left of a network, and the cuts that lead there. No torch here."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.runs.jobs import finite, inside

DEEPEST = 0.6  # share that one cut leaves; what goes further is done in several, with training between them
MOST_STEPS = 9
UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}
NAMES = {"flops": "FLOPs", "parameters": "parameters", "latency": "latency"}


@dataclass(frozen=True, slots=True)
class Wish:
    """target: flops, parameters or latency. amount: what is left, a share of the given network's; of parameters also
    their number, above 1."""

    target: str
    amount: float

    def __str__(self) -> str:
        if self.amount > 1:
            return f"{self.amount:,.0f} parameters"
        return f"{self.amount:.3g} of the {NAMES[self.target]}"

    def share(self, results: Mapping[str, Any]) -> float:
        """As a share of the network whose results are given. Raises LightdetError for one that is no larger."""
        if self.amount <= 1:
            return self.amount
        have = finite(inside(results, "footprint", "parameters"))
        if not have:
            raise LightdetError(f"--parameters {self.amount:,.0f}: the run does not tell how many it has; give a share")
        if self.amount >= have:
            raise LightdetError(f"--parameters {self.amount:,.0f}: the run has {have:,.0f}; give a smaller number")
        return self.amount / have


def wish_of(target: str, text: str) -> Wish:
    """The words behind --flops, --parameters or --latency. Raises LightdetError for what is no amount."""
    found = re.fullmatch(r"(\d+|\d*\.\d+)([kKM]?)", text.removesuffix("x"))
    amount = float(found[1]) * UNITS[found[2]] if found else math.nan
    if target == "parameters" and not (0 < amount < 1 or (amount > 1 and amount.is_integer())):
        raise LightdetError(f"--parameters {text}: give a share between 0 and 1, or a number such as 500000 or 0.5M")
    if target != "parameters" and not 0 < amount < 1:
        raise LightdetError(f"--{target} {text}: give the share that is to be left, between 0 and 1, such as 0.6")
    return Wish(target, amount)


def steps_for(share: float) -> int:
    """How many cuts lead to a share of the network: no single one leaves less than `DEEPEST`."""
    return max(1, min(MOST_STEPS, math.ceil(math.log(share) / math.log(DEEPEST) - 1e-9)))


def cuts(wish: Wish, share: float, steps: int) -> list[tuple[Wish, Wish]]:
    """Of each cut what it leaves of the network before it, and of the given one; equal shares, one after the other."""
    each, made = share ** (1 / steps), []
    for number in range(1, steps + 1):
        if wish.amount > 1:
            left = Wish(wish.target, wish.amount if number == steps else round(wish.amount / share * each**number))
            made.append((left, left))
        else:
            made.append((Wish(wish.target, each), Wish(wish.target, each**number)))
    return made
