"""The reader of a folder whose format is not named: it looks, says what it took it for, and reads it so."""

import sys
from pathlib import Path

from lightdet.config.data_command import data_command
from lightdet.core.errors import LightdetError
from lightdet.data.files import DataRoot
from lightdet.data.folder_view import FolderView
from lightdet.data.layouts import LAYOUTS, Guess
from lightdet.data.reader_of import option_reader
from lightdet.data.record import Record, doubts_of

DEEPEST = 3  # folders that hold nothing but one folder, as in an unpacked archive


class Auto:
    """Reads `root` as the one layout of `layouts.py` that fits; prints which, and the words that say so.

    A folder that holds nothing but another folder stands for that. `val_share`, `seed` and `follow_links` go to the
    reader that is found. In a fingerprint these settings count, and not what was found: a run of `data=auto` is another
    one than a run of the printed words.
    """

    def __init__(self, root: str, val_share: float = 0.2, seed: int = 0, follow_links: bool = False) -> None:
        inner, guess = recognise(DataRoot(root, follow_links).path)
        print(f"data=auto: {guess.what}; the same is {command(inner, guess)}", file=sys.stderr)
        given = {"root": str(inner), **guess.settings, "follow_links": follow_links}
        self._reader = option_reader(guess.option, given, {"val_share": val_share, "seed": seed})
        self.classes = tuple(self._reader.classes)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Those of the reader that was found."""
        return doubts_of(self._reader)

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError as the reader that was found does."""
        return self._reader.read()


def recognise(root: Path) -> tuple[Path, Guess]:
    """The one layout that fits a folder, and the folder where it begins. Raises LightdetError for none and for several.

    Cheap: it lists folders and reads the beginning and the end of a few files.
    """
    view = FolderView(root)
    for _ in range(DEEPEST):
        guesses = [guess for layout in LAYOUTS.values() for guess in layout(view)]
        if len(guesses) == 1:
            return view.path, guesses[0]
        if guesses:
            words = "; or ".join(f"{guess.what}: {command(view.path, guess)}" for guess in guesses)
            raise LightdetError(f"{view.path}: several layouts fit, choose one of them: {words}")
        if len(view.folders) != 1:
            break
        (view,) = view.folders.values()
    looked_for = "; ".join(LAYOUTS)
    raise LightdetError(f"{root}: no known layout; looked for {looked_for}; name the format with data=...")


def command(root: Path, guess: Guess) -> str:
    """The words that name a guess."""
    return data_command(guess.option, {"root": str(root), **guess.settings})
