"""The pages of all images that are explained at once, with the same content as JSON.

parts/<name>.html and .json, one of each for an image; index.html and index.json for the lot.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.core.paths import is_inside
from lightdet.engine.image_files import ImageFile
from lightdet.explain.explain import Explained
from lightdet.explain.page import lot_page, part_page
from lightdet.explain.part import MADE_BY, SCHEMA, Context, Part, part_of

PARTS, INDEX, INDEX_JSON = "parts", "index.html", "index.json"
MOST_THUMBNAILS = 500  # parts with pictures on the page of a lot, those most in doubt; 14 kB each
SIGNED = 600  # bytes at the begin of a file, in which it says what made it
SUMMARY = ("name", "file", "verdict", "class", "label", "score", "margin", "second")  # of a part, in index.json


class Lot:
    """Writes the page of each part as soon as it is explained, and at the end that of the lot."""

    def __init__(self, out: Path, context: Context) -> None:
        self.out = out
        self.context = context
        self._parts: list[dict[str, Any]] = []
        self._thumbnails: dict[str, list[str]] = {}
        self._pages: set[str] = set()  # of this lot, below `out`

    @staticmethod
    def check(out: Path, files: Sequence[ImageFile]) -> None:
        """Raises LightdetError where a page would overwrite a file that is no page of ours, or lie outside `out`."""
        pages = [out / PARTS / f"{file.picture}{end}" for file in files for end in (".html", ".json")]
        for path in (*pages, out / INDEX, out / INDEX_JSON):
            if not is_inside(path, out):
                raise LightdetError(f"{path}: a link that leads out of {out}; give another folder with --out")
            if os.path.lexists(path) and not is_page(path):
                raise LightdetError(
                    f"{path}: not made by `{MADE_BY}`, and not overwritten; give another folder with --out"
                )

    def add(self, file: ImageFile, explained: Explained) -> None:
        """Writes the page of an explained image and its JSON."""
        part = part_of(file, explained, self.context)
        page = PurePosixPath(PARTS, f"{file.picture}.html")
        up = "/".join([".."] * (len(page.parts) - 1))
        write_text(self.out / page, part_page(part, self.context.predictor.classes, f"{up}/{INDEX}"))
        write_json(self.out / PARTS / f"{file.picture}.json", part.facts)
        self._parts.append({name: part.facts[name] for name in SUMMARY} | {"page": quote(os.fsencode(str(page)))})
        self._pages.add(page.as_posix())
        self._remember(part)

    def finish(self, skipped: Iterable[str], left_out: Iterable[str]) -> Path:
        """Writes the page of the lot and its JSON; returns the page. `skipped`: a line for each image that could not be
        explained; `left_out`: one for each kind of file that was not taken."""
        facts = self.facts(list(skipped), list(left_out))
        shown = {part["name"] for part in facts["parts"][:MOST_THUMBNAILS]}
        pictures = {name: sources for name, sources in self._thumbnails.items() if name in shown}
        write_json(self.out / INDEX_JSON, facts)
        write_text(self.out / INDEX, lot_page(facts, pictures))
        return self.out / INDEX

    def facts(self, skipped: Sequence[str], left_out: Sequence[str]) -> dict[str, Any]:
        """The content of index.json: the parts most in doubt first."""
        parts = sorted(self._parts, key=lambda part: (part["margin"], part["name"]))
        counted = Counter((part["class"], part["label"]) for part in parts)
        verdicts = Counter(part["verdict"] for part in parts if part["verdict"])
        words = [f"{count} {verdict}" for verdict, count in sorted(verdicts.items(), reverse=True)]
        words += [f"{len(skipped)} not judged"] if skipped else []
        notes = list(self.context.notes)
        if len(parts) > MOST_THUMBNAILS:
            notes.append(f"The {MOST_THUMBNAILS} parts most in doubt have pictures here; every part has its page.")
        if earlier := self._earlier():
            verb = "is" if earlier == 1 else "are"
            notes.append(f"{earlier} of the pages in {PARTS}/ {verb} of an earlier lot, and not counted here.")
        return {
            "made_by": MADE_BY,
            "schema": SCHEMA,
            "run": self.context.run,
            "title": f"Lot of {len(parts)} image{'' if len(parts) == 1 else 's'}",
            "summary": ", ".join(words),
            "counts": [
                {"class": name, "label": label, "count": count}
                for (name, label), count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0][0]))
            ],
            "verdicts": sorted(verdicts, reverse=True),
            "missing": [*skipped, *left_out],
            "notes": notes,
            "parts": parts,
        }

    def _earlier(self) -> int:
        """How many pages of parts an earlier call left in this folder."""
        there = (path for path in (self.out / PARTS).rglob("*.html") if is_page(path))
        return sum(path.relative_to(self.out).as_posix() not in self._pages for path in there)

    def _remember(self, part: Part) -> None:
        """Keeps the thumbnails of the parts that are most in doubt so far."""
        self._thumbnails[part.name] = [
            part.pictures[key] for key in ("thumbnail", "thumbnail-map") if key in part.pictures
        ]
        if len(self._thumbnails) > 2 * MOST_THUMBNAILS:
            doubtful = sorted(self._parts, key=lambda each: (each["margin"], each["name"]))[:MOST_THUMBNAILS]
            self._thumbnails = {each["name"]: self._thumbnails[each["name"]] for each in doubtful}


def is_page(path: Path) -> bool:
    """Whether a file says of itself that it was made here."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return MADE_BY.encode() in file.read(SIGNED)
