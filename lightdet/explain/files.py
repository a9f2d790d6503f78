"""`lightdet explain RUN IMAGES`: a picture for each image, and explanations.json."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import write_json
from lightdet.core.outside import outside
from lightdet.core.progress import watched
from lightdet.core.shown import shown
from lightdet.engine.image_files import ImageFile, Skipped
from lightdet.engine.picture_files import save_picture
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.explain.contract import Method
from lightdet.explain.explain import Explained, Explanation, explain_result
from lightdet.explain.picture import original_box, peak, picture
from lightdet.runtime.found import EXPLANATIONS, PICTURES, Found
from lightdet.runtime.sources import Original

MADE_BY = "lightdet explain"  # inside of every file that it writes: what lacks it is not overwritten


@dataclass(slots=True)
class ExplainedFiles:
    """What was explained, and what was not."""

    out: Path
    found: Found
    entries: list[dict[str, Any]] = field(default_factory=list)  # one per explained image
    skipped: list[Skipped] = field(default_factory=list)  # images that are not read, or that break the model
    undrawn: list[str] = field(default_factory=list)  # explained images without a picture, a line each
    unable: dict[str, str] | None = None  # methods of "all" that cannot explain this model, and why

    @property
    def whole(self) -> bool:
        """Whether every image is explained and drawn."""
        return self.found.whole and not self.skipped and not self.undrawn

    def as_text(self) -> str:
        """Two or three lines of text."""
        maps = [each for entry in self.entries for each in entry["explanations"]]
        lines = [f"{len(self.entries)} images, {len(maps)} explanations", f"written to {shown(self.out)}"]
        names = dict.fromkeys(each["method"] for each in maps)
        times = {name: median(each["seconds"] for each in maps if each["method"] == name) * 1000 for name in names}
        if times:
            lines.append(f"median ms per map: {', '.join(f'{name} {ms:.1f}' for name, ms in times.items())}")
        return "\n".join(lines)

    def troubles(self) -> list[str]:
        """A line for each image without an explanation or a picture, for each kind of what is left out, and for each
        method that cannot explain this model."""
        unable = [f"{name} is left out: {why}" for name, why in (self.unable or {}).items()]
        return [*map(str, self.skipped), *self.undrawn, *self.found.left_out.lines(), *unable]


def explain_files(
    predictor: Predictor,
    files: Sequence[ImageFile],
    out: Path,
    methods: Mapping[str, Method],
    most: int,
    found: Found | None = None,
    show: Callable[[ImageFile, Explained], None] | None = None,
    lenient: bool = False,
) -> ExplainedFiles:
    """Explain every image and write under `out` pictures/ and, at the end, explanations.json, whatever ends it.

    An image that cannot be read, or for which the model returns NaN, is listed in `skipped`. Raises LightdetError for
    a method that cannot explain this model: it would explain none of the images; `lenient`
    leaves it out and names it. `show` gets every explained image.
    """
    done = ExplainedFiles(out, found or Found(), unable={} if lenient else None)
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    _write(done, predictor, methods)  # from now on it says whose folder this is
    try:
        for file in watched(files, len(files), "images"):
            explained = _explain_one(predictor, file, methods, most, done)
            if show is not None and explained is not None:
                show(file, explained)
    finally:
        _write(done, predictor, methods)
    return done


def _explain_one(
    predictor: Predictor, file: ImageFile, methods: Mapping[str, Method], most: int, done: ExplainedFiles
) -> Explained | None:
    try:
        result = predictor.predict(Original(file.path, predictor.bits), Stopwatch(predictor.device))
    except LightdetError as error:
        done.skipped.append(Skipped(str(file.path), " ".join(str(error).removeprefix(f"{file.path}: ").split())))
        return None
    explained = explain_result(predictor, result, methods, most, done.unable)
    drawn = f"{PICTURES}/{file.picture}"
    try:
        save_picture(picture(explained, file.name), done.out / drawn, MADE_BY)
    except Exception as error:  # an explanation does not depend on its picture
        drawn = ""
        done.undrawn.append(f"no picture of {file.path}: {outside(error) or one_line(error)}")
    facts = explained.result.to_dict()
    said = [_facts(explained, each) for each in explained.explanations]
    done.entries.append({**facts, "picture": drawn, "explanations": said})
    return explained


def _facts(explained: Explained, each: Explanation) -> dict[str, Any]:
    """An explanation without its map, JSON-ready: places in original px."""
    box = original_box(explained, each.subject)
    return {
        "method": each.method,
        "class": each.name,
        "label": each.subject.label,
        "score": round(each.subject.score, 5),
        "box_xyxy": None if box is None else [round(value, 2) for value in box],
        "peak_xy": peak(each.heat),
        "seconds": round(each.seconds, 5),
    }


def _write(done: ExplainedFiles, predictor: Predictor, methods: Mapping[str, Method]) -> None:
    content = {
        "made_by": MADE_BY,
        "methods": [name for name in methods if name not in (done.unable or {})],
        "classes": list(predictor.classes),
        "threshold": predictor.threshold,
        "skipped": [asdict(each) for each in done.skipped],
        "left_out": list(done.found.left_out.lines()),
        "images": done.entries,
    }
    write_json(done.out / EXPLANATIONS, content)
