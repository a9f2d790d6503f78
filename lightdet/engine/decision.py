"""What a result decides for its image, by which rule, and how near it was to another decision. No torch here."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about one image, in numbers and in a sentence.

    name, label, score: the decided class and its probability, or that of the best box; "" and None where nothing is
    found. second: the class that comes next, with its probability. margin: how far the rule is from deciding otherwise,
    in its own unit (probability, expected cost or score); 0 is undecided. rejected: whether the part is not sound; None
    where no class is known as that of sound parts.
    """

    rule: str  # "most probable", "least expected cost" or "threshold"
    sentence: str
    name: str
    label: int | None
    score: float
    margin: float
    rejected: bool | None
    second: tuple[str, float] | None = None
    threshold: float | None = None
    costs: dict[str, float] = field(default_factory=dict)  # expected cost of deciding for each class, the least first
