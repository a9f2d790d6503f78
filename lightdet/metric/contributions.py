"""Per-image contributions to scores, kept for paired resampling: `contributions.json`. No torch here.

{"image_ids": ["a.png", ...], "scores": {"accuracy": {"numerator": [1.0, ...], "denominator": [1.0, ...]}, ...}}
"""

from pathlib import Path

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.metric.contract import Contributions

FILE_NAME = "contributions.json"


def write_contributions(folder: Path, contributions: Contributions) -> None:
    """Writes the file to a run folder, as a whole."""
    scores = {
        key: {"numerator": numerator.tolist(), "denominator": denominator.tolist()}
        for key, (numerator, denominator) in contributions.scores.items()
    }
    write_json(folder / FILE_NAME, {"image_ids": list(contributions.image_ids), "scores": scores})


def read_contributions(folder: Path) -> Contributions | None:
    """The file of a run folder; None where there is none. Raises LightdetError for a broken one."""
    path = folder / FILE_NAME
    content = read_json(path)
    if not content:
        return None
    try:
        image_ids = tuple(str(image_id) for image_id in content["image_ids"])
        scores = {
            str(key): (np.array(sums["numerator"], np.float64), np.array(sums["denominator"], np.float64))
            for key, sums in content["scores"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LightdetError(f"{path}: no contributions of images ({type(error).__name__}: {error})") from None
    arrays = [array for sums in scores.values() for array in sums]
    if any(array.shape != (len(image_ids),) or not np.isfinite(array).all() for array in arrays):
        raise LightdetError(f"{path}: not one finite number per image")
    if len(set(image_ids)) < len(image_ids):
        raise LightdetError(f"{path}: an image twice")
    return Contributions(image_ids, scores)
