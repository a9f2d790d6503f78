"""The options that say how images are shown to a network, of all commands that apply one."""

import argparse

from lightdet.ops.flips import FLIPS
from lightdet.runs.trained_scale import LEAST, MOST

AUTO = "auto"
TILES = (
    "show images larger than the training scale in overlapping tiles: as large as the training images (auto, or "
    "nothing), or with a longer side of so many original px"
)
FLIPPED = "show each image turned over as well, and join what is seen: one network run for each flip"


def add_tiles(parser: argparse.ArgumentParser) -> None:
    """Adds --tiles: None without it, True for `auto`, a number of px."""
    parser.add_argument("--tiles", nargs="?", const=True, type=_tiles, metavar="PX", help=TILES)


def add_flips(parser: argparse.ArgumentParser) -> None:
    """Adds --flips: a key of FLIPS."""
    parser.add_argument("--flips", choices=list(FLIPS), help=FLIPPED)


def _tiles(text: str) -> int | bool:
    if text == AUTO:
        return True
    if not text.isascii() or not text.isdigit() or not LEAST <= int(text[:7]) <= MOST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no side of {LEAST} to {MOST} px; write --tiles={AUTO}, or --tiles after all other words"
        )
    return int(text)
