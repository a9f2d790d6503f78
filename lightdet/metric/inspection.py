"""What a line makes of decisions on whole images: defective ones that escape, good ones that are rejected."""

from typing import Any

import numpy as np


def inspection(defective: np.ndarray, rejected: np.ndarray) -> dict[str, Any]:
    """(N,) bool: whether an image shows a defect, and whether it is decided to. A rate without an image is None."""
    escaped, needless = int((defective & ~rejected).sum()), int((~defective & rejected).sum())
    return {
        "defective_images": int(defective.sum()),
        "escaped_images": escaped,
        "escape_rate": escaped / int(defective.sum()) if defective.any() else None,
        "good_images": int((~defective).sum()),
        "rejected_images": needless,
        "overkill_rate": needless / int((~defective).sum()) if (~defective).any() else None,
    }
