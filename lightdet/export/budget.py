"""How far an exported file may be from the model. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of the checks.

    overall, worst_class: points (0.01) of a score on the validation images that may be lost, over all and by the class
    that loses most. pixels (original px), score (0..1): the largest difference of one box or probability. near: a box
    whose score lies this near to its threshold may be in one result and not in the other. missed: share of the boxes
    that may be lost or extra. noise: images of noise are compared as well; numbers whose ranges were measured on images
    of the data need not hold for noise.
    """

    overall: float = 0.3
    worst_class: float = 2.0
    pixels: float = 0.5
    score: float = 1e-3
    near: float = 5e-3
    missed: float = 0.0
    noise: bool = True

    def text(self) -> str:
        """The limits of one box, in words."""
        missed = f"{self.missed:.0%} of the boxes lost or extra" if self.missed else "no box lost or extra"
        return f"{self.pixels:g} px, {self.score:g} of score, {missed}"
