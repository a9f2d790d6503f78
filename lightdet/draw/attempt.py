"""A picture that cannot be drawn or saved costs one line, never the results beside it."""

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import write_bytes
from lightdet.core.shown import shown

COMPRESSION = 4  # of PNG: half the time of the usual 6, and a quarter more bytes


def attempt(what: str, draw: Callable[[], object]) -> bool:
    """Calls `draw`; whether it came to its end. An error becomes a line on stderr that names `what`."""
    try:
        draw()
    except Exception as error:
        print(shown(f"lightdet: {what} could not be drawn: {one_line(error)}"), file=sys.stderr, flush=True)
        return False
    return True


def drawn(figures: Mapping[str, Callable[[], Path]]) -> dict[str, Path]:
    """Draws figures that are given by title; returns the files of those that came to their end."""
    files: dict[str, Path] = {}
    for title, draw in figures.items():
        attempt(title, lambda title=title, draw=draw: files.update({title: draw()}))  # type: ignore[misc]
    return files


@contextmanager
def replacing(folder: Path, ours: Callable[[str], object]) -> Iterator[list[Path]]:
    """Gives a list for the new files of a folder of pictures. When the block ends without error, the earlier files
    whose names are `ours` and that are not among the new ones are deleted; until then they stand."""
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [path for path in folder.iterdir() if ours(path.name)]
    new: list[Path] = []
    yield new
    for path in earlier:
        if path not in new:
            path.unlink(missing_ok=True)


def refuse_failed(failed: Sequence[str], of: int) -> None:
    """Raises LightdetError if some of the pictures `of` which there are that many could not be drawn."""
    if failed:
        raise LightdetError(f"{len(failed)} of {of}, such as: {failed[0]}")


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes a figure of matplotlib as PNG, whole or not at all."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a class name in a script that the font lacks
        FigureCanvasAgg(figure).print_png(content)
    write_bytes(path, content.getbuffer())
    return path


def save_picture(picture: np.ndarray, path: Path) -> Path:
    """Writes an RGB picture (H, W, 3) uint8 as PNG, whole or not at all."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", compress_level=COMPRESSION)
    write_bytes(path, content.getbuffer())
    return path
