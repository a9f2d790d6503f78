"""The 256 steps with which numbers of 8 bits hold a range."""

LEAST_SCALE = 1e-8  # of a channel or tensor that is all zeros


def steps(low: float, high: float, signed: bool = False) -> tuple[float, int]:
    """Scale and zero point with which 256 steps hold low..high, and 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / 255, LEAST_SCALE)
    return scale, round(-low / scale) - (128 if signed else 0)
