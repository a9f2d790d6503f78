"""Names of a file's outputs, and those of runtimes that give outputs by their position alone."""

from pathlib import Path

from lightdet.runtime.contract import DETECTION, read

BOXES, SCORES, LOGITS = "boxes", "scores", "logits"  # in front of any selection
DETECTIONS, PROBABILITIES = "detections", "probabilities"  # what a user wants
PIXELS = {"images": ("uint8", 4)}  # the only input of such a file


def by_position(metadata: str | None, path: Path) -> dict[str, tuple[int | None, ...]]:
    """The outputs of a file that selects no boxes, in their order, with the lengths of their axes. Raises LightdetError
    for a contract that is missing or damaged."""
    contract = read(metadata, str(path))
    count = len(contract.classes)
    if contract.task == DETECTION:
        return {BOXES: (None, None, 4), SCORES: (None, None, count)}
    return {PROBABILITIES: (None, count), LOGITS: (None, count)}
