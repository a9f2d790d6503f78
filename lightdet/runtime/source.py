"""What `predict` takes images from. No torch here."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightdet.runtime.sources import Original


class Source(ABC):
    """Images, one after the other, until it ends or is closed. `bits` are those of the camera (`read_image`)."""

    live = False  # whether frames come by themselves, so that those which nobody takes in time are dropped
    total: int | None = None  # how many images, where that is known beforehand
    fps: float | None = None  # frames per second, of a video or a camera that says so

    @abstractmethod
    def originals(self, bits: int | None) -> Iterator[Original]:
        """To be read once, in any one thread. Raises LightdetError where it cannot be read at all."""

    def close(self) -> None:  # noqa: B027  # what ends soon by itself has nothing to do
        """Ends `originals`, from another thread, within a second."""

    def missed(self) -> Sequence[str]:
        """A line for each kind of image without a prediction, such as damaged frames."""
        return ()

    def counts(self) -> dict[str, Any]:
        """What the summary says of it: JSON values by name."""
        return {}


class Files(Source):
    """Image files, in the order given."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.total = len(files)

    def originals(self, bits: int | None) -> Iterator[Original]:
        return (Original(path, bits) for path in self.files)


class Several(Source):
    """Sources that end, one after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        totals = [source.total for source in sources]
        self.total = None if None in totals else sum(total or 0 for total in totals)
        self.fps = next((source.fps for source in sources if source.fps), None)

    def originals(self, bits: int | None) -> Iterator[Original]:
        for source in self.sources:
            yield from source.originals(bits)

    def close(self) -> None:
        for source in self.sources:
            source.close()

    def missed(self) -> Sequence[str]:
        return [line for source in self.sources for line in source.missed()]

    def counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for source in self.sources:
            for name, value in source.counts().items():
                counts[name] = counts.get(name, 0) + value
        return counts
