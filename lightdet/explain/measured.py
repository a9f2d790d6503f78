"""What `lightdet explain RUN --measure` found out of a run's methods, for people. No torch here."""

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.paths import is_inside
from lightdet.explain.tables import methods_table
from lightdet.runs.folder import RunFolder

FACTS = "explain.json"  # in the folder `explain` of a run, beside its heat maps
BEATS = "beats the trivial maps in"
WORDS = ("method", "sanity last / half / all", BEATS)  # columns that are no number, with or without its interval
MOST_METHODS = 50


def measured_methods(folder: RunFolder) -> list[dict[str, str]]:
    """A line for each method that is measured on a run, by the names of its columns; [] where none is.

    Raises LightdetError for a damaged file, and for a link that leads out of the run.
    """
    path = folder.explain / FACTS
    if not path.is_file():
        return []
    if not is_inside(path, folder.path):
        raise LightdetError(f"{path}: a link that leads out of its run; not shown")
    facts = read_json(path)
    try:
        header, lines, _ = methods_table(facts)
        return [
            {name.replace("\n", " "): value for name, value in zip(header, line, strict=True)}
            for line in lines[:MOST_METHODS]
        ]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise LightdetError(f"{path}: not as `lightdet explain --measure` writes it; measure the run again") from error
