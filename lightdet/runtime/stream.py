"""Results one after the other, from whatever gives images: the way of the Python interfaces. No torch here."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from lightdet.core.cores import cores
from lightdet.core.errors import LightdetError
from lightdet.runtime.found import Found
from lightdet.runtime.kinds import opened
from lightdet.runtime.pipeline import in_order
from lightdet.runtime.source import Files, Source
from lightdet.runtime.sources import Original
from lightdet.runtime.watched import Watched

Result = TypeVar("Result")
Words = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Failed = Callable[[str, str], None]  # name of an image, and the reason


class _Failure(NamedTuple):
    name: str
    reason: str


def stream(
    words: Words,
    predict: Callable[[Original], Result],
    bits: int | None,
    watch: bool = False,
    idle_seconds: float | None = None,
    failed: Failed | None = None,
    threads: int | None = None,
) -> Iterator[Result]:
    """The result of each image of a source, in order, as soon as it is there; several threads call `predict`.

    words: image files, folders, globs, videos, "camera:0", an address, "-" for paths on standard input; with `watch`
    folders in which images appear. idle_seconds: ends a camera, an address and `watch` when nothing came for so long.
    failed: is told of an image that cannot be predicted on; None: that raises LightdetError. threads: None: one per
    core. Images are taken no faster than results are; frames of a camera are dropped meanwhile. Raises LightdetError
    for a word that names nothing.
    """
    names = [os.fspath(each) for each in ([words] if isinstance(words, str | os.PathLike) else words)]
    source = Watched(names, idle_seconds) if watch else opened(names, idle_seconds, _files)

    def work(original: Original) -> Result | _Failure:
        try:
            return predict(original)
        except LightdetError as error:
            if failed is None:
                raise
            return _Failure(original.name, str(error).removeprefix(f"{original.name}: "))

    count = threads or cores()
    done = in_order(source.originals(bits), work, count, 0 if source.live else count)
    try:
        for each in done:
            if not isinstance(each, _Failure):
                yield each
            elif failed is not None:
                failed(each.name, each.reason)
    finally:
        done.close()  # type: ignore[attr-defined]
        source.close()


def _files(words: Sequence[str]) -> Source:
    found = Found()
    return Files([path for word in words for path in found.search(word)])
