"""The pictures of runs on a page: reduced and embedded up to a total size, linked beyond it."""

import base64
import io
import os
import re
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.core.paths import is_inside
from lightdet.core.reading import read_regular
from lightdet.draw.palette import PAPER
from lightdet.report.explained import heat_maps
from lightdet.report.rows import LoadedJob
from lightdet.runs.folder import RunFolder

PLOTS = {
    "training.png": "training",
    "pr_curve.png": "precision and recall",
    "confusion.png": "confusion",
    "reliability.png": "reliability",
}
OVERVIEW = "overview.png"
OVERVIEW_WIDTH = 840  # px
PLOT_WIDTH = 680  # px
WORST_WIDTH = 560  # px
WORST = 3  # single pictures of a run beside its overview
EXPLAINED_WIDTH = 760  # px
COLOURS = 32  # of a plot: flat areas and the edges of letters
QUALITY = 68  # of JPEG
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
NO_PICTURE = (OSError, ValueError, SyntaxError, EOFError, *BOMBS)  # what Pillow raises
WORST_NAME = re.compile(r"\d{3,}-(?:missed(\d+)-false(\d+)|(wrong|right))-(.*)\.png")


class Gallery:
    """Turns files into what an `img` shows: a data URI within `limit`, a relative link beyond it."""

    def __init__(self, out: Path, limit: int) -> None:
        self.out = out
        self.left = limit  # bytes
        self.linked = 0
        self.broken: list[str] = []

    def of(self, job: LoadedJob) -> list[dict[str, Any]]:
        """The pictures of a run as title, src and kind."""
        if job.folder is None:
            return []
        overview = job.folder.pictures / OVERVIEW
        wanted = [(overview, "overview of the worst images", OVERVIEW_WIDTH, "overview")]
        wanted += [(job.folder.path / name, title, PLOT_WIDTH, "plot") for name, title in PLOTS.items()]
        worst = sorted(path for path in _files(job.folder.pictures) if WORST_NAME.fullmatch(path.name))[:WORST]
        wanted += [(path, _title(path), WORST_WIDTH, "image") for path in worst]
        wanted += self._explained(job.folder)
        shown = []
        for path, title, width, kind in wanted:
            source = self.source(path, width, kind == "plot") if self._is_own(path, job.folder.path) else None
            if source:
                shown.append({"title": title, "src": source, "kind": kind})
        return shown

    def _explained(self, job: RunFolder) -> list[tuple[Path, str, int, str]]:
        try:
            return [(path, title, EXPLAINED_WIDTH, "explained") for path, title in heat_maps(job)]
        except LightdetError as error:
            self.broken.append(str(error))
            return []

    def _is_own(self, path: Path, run: Path) -> bool:
        """Whether a picture is there and is the run's: through a link, a page would hold any picture of its reader."""
        if path.is_file() and not is_inside(path, run):
            self.broken.append(f"{path}: a link that leads out of its run; not shown")
            return False
        return path.is_file()

    def source(self, path: Path, width: int, plot: bool) -> str | None:
        """The value of src; None for a file that is no picture."""
        if self.left <= 0:
            self.linked += 1
            return relative(path, self.out)
        try:
            content = smaller(path, width, plot)
        except LightdetError as error:
            self.broken.append(str(error))
            return None
        text = base64.b64encode(content).decode()
        self.left -= len(text)
        return f"data:image/{'png' if plot else 'jpeg'};base64,{text}"


def smaller(path: Path, width: int, plot: bool) -> bytes:
    """The picture at most `width` px wide: PNG of few colours for a plot, JPEG otherwise. Raises LightdetError for a
    file that is no picture of ours."""
    out = io.BytesIO()
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(read_regular(path)), formats=("PNG", "JPEG")) as opened:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = opened if opened.mode == "RGB" else _on_paper(opened)
            if picture.width > width:
                height = max(1, round(picture.height * width / picture.width))
                picture = picture.resize((width, height), reducing_gap=2.0)
            if plot:
                picture.quantize(COLOURS).save(out, "PNG", optimize=True)
            else:
                picture.save(out, "JPEG", quality=QUALITY)
    except NO_PICTURE as error:
        raise LightdetError(f"{path}: not a readable picture ({type(error).__name__})") from error
    return out.getvalue()


def _on_paper(picture: Image.Image) -> Image.Image:
    """Without transparency, as matplotlib's plots have it."""
    layered = picture.convert("RGBA")
    page = Image.new("RGBA", layered.size, (*PAPER, 255))
    return Image.alpha_composite(page, layered).convert("RGB")


def relative(path: Path, out: Path) -> str:
    """A link from the page in `out` to a file elsewhere, safe in HTML and Markdown."""
    return quote(os.fsencode(os.path.relpath(path, out).replace(os.sep, "/")))


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _title(path: Path) -> str:
    match = WORST_NAME.fullmatch(path.name)
    assert match is not None
    missed, alarms, judged, name = match.groups()
    return f"{name}: {judged}" if judged else f"{name}: {missed} missed, {alarms} false alarms"
