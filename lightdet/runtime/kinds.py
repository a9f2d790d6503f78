"""What the words of a person name: images, videos, a camera, or a list of paths. No torch here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightdet.core.errors import LightdetError
from lightdet.runtime.live import Live, is_live
from lightdet.runtime.source import Several, Source
from lightdet.runtime.video import Video, find_videos, is_video
from lightdet.runtime.watched import Listed

LISTED = "-"  # standard input


@dataclass(frozen=True, slots=True)
class Kinds:
    """The words of a person, by what they name."""

    images: Sequence[str]  # files, folders and globs
    videos: Sequence[str]
    live: str | None  # a camera or an address
    listed: bool  # whether standard input has paths


def kinds(words: Sequence[str]) -> Kinds:
    """Raises LightdetError where something follows a source that does not end."""
    endless = [word for word in words if word == LISTED or is_live(word)]
    if endless and len(words) > 1:
        raise LightdetError(f"{endless[0]}: does not end, so nothing else can be predicted on; give it alone")
    videos = [word for word in words if word not in endless and is_video(word)]
    images = [word for word in words if word not in endless and word not in videos]
    listed = endless == [LISTED]
    return Kinds(images, videos, None if listed or not endless else endless[0], listed)


def opened(words: Sequence[str], idle_seconds: float | None, images: Callable[[Sequence[str]], Source]) -> Source:
    """What the words name, image files first; `images` finds those. `idle_seconds`: see `Live`.

    Raises LightdetError for a word that names nothing to predict on, and where something follows a source that does not
    end.
    """
    found = kinds(words)
    if found.listed:
        return Listed()
    if found.live is not None:
        return Live(found.live, idle_seconds)
    if idle_seconds is not None:
        raise LightdetError(
            "--idle-seconds: is for --watch, a camera or an address; the other sources end by themselves"
        )
    files = [images(found.images)] if found.images else []
    sources = [*files, *(Video(path) for word in found.videos for path in find_videos(word))]
    return sources[0] if len(sources) == 1 else Several(sources)
