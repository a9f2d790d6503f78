"""Where an image lies in a network's input. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image is placed into a network input, so that predictions can be mapped back to original px.

    `x_input = x_original * scale_x + left`, `y_input = y_original * scale_y + top`. The two scales differ where the
    shorter side was rounded to whole pixels: an image of 4000 x 140 px is 640 x 22 px there, not 22.4.
    """

    scale_x: float
    scale_y: float
    left: float  # input px
    top: float  # input px
    original_height: int  # px
    original_width: int  # px
