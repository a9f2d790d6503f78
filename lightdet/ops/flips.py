"""The flips in which an image can be shown besides as it is. No torch here."""

from collections.abc import Mapping

from lightdet.core.errors import LightdetError

HORIZONTAL, VERTICAL = "horizontal", "vertical"  # left and right swapped; top and bottom
FLIPS: Mapping[str, tuple[str, ...]] = {  # what a person asks for -> the flips
    HORIZONTAL: (HORIZONTAL,),
    VERTICAL: (VERTICAL,),
    "both": (HORIZONTAL, VERTICAL),
}


def flips_named(word: str | None) -> tuple[str, ...]:
    """The flips that a person asks for; None: none. Raises LightdetError for another word."""
    if word is not None and word not in FLIPS:
        raise LightdetError(f"flips={word}: one of {', '.join(FLIPS)}")
    return () if word is None else FLIPS[word]
