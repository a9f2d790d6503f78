"""What the words of a person name: images, videos, a camera, or a list of paths. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightdet.core.errors import LightdetError
from lightdet.runtime.live import is_live
from lightdet.runtime.video import is_video

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
