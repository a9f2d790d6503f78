"""The worst validation images of a run explained, in its own folder, where reports find them."""

import sys
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.paths import is_inside, refuse_links_out
from lightdet.core.shown import shown
from lightdet.data.record import Record
from lightdet.engine.image_files import ImageFile
from lightdet.engine.picture_files import check_free, picture_names
from lightdet.engine.predictor import Predictor, load_predictor
from lightdet.engine.run_data import data_of, run_config
from lightdet.explain.files import MADE_BY, ExplainedFiles, explain_files
from lightdet.explain.methods import DEFAULT, build_methods
from lightdet.explain.nearest import spread
from lightdet.explain.worst import worst_first
from lightdet.runs.folder import RunFolder
from lightdet.runtime.found import EXPLANATIONS

MOST_IMAGES = 6
BLACK_BOX = "rise"


def worst_files(run: Path, predictor: Predictor, trust_modules: bool = False) -> list[ImageFile]:
    """The validation images on which a run was most wrong (`worst_first`), or without the files that tell, some that
    are spread evenly.

    Raises LightdetError for a package, which has no dataset, and where that of the run is not on this machine.
    """
    known = {record.image_id: record for record in _validation(run, predictor, trust_modules)}
    ranked = [image_id for image_id in worst_first(run, predictor.threshold) if image_id in known]
    names = ranked[:MOST_IMAGES] or [list(known)[index] for index in spread(len(known), MOST_IMAGES)]
    pictures = picture_names(names)
    return [ImageFile(known[name].path, name, pictures[name]) for name in names]


def own_folder(run: Path, files: list[ImageFile], out: Path | None = None) -> Path:
    """The folder for explanations of a run's own images: `out`, or one in the run. Raises LightdetError where a link in
    that leads out of the run, and where something is there that was not made here."""
    folder = RunFolder(run).explain if out is None else out
    if out is None and not is_inside(folder, run):
        raise LightdetError(f"{folder}: a link that leads out of {run}; give another folder with --out")
    if out is None and folder.is_dir():
        refuse_links_out(folder)
    check_free(folder, [file.picture for file in files], (EXPLANATIONS,), MADE_BY, (EXPLANATIONS,))
    return folder


def explain_run(run: Path, trust_modules: bool = False) -> ExplainedFiles:
    """Explains the worst validation images of a run into its own folder by `DEFAULT`, or where that cannot explain the
    model by `BLACK_BOX`; a line on stderr says why."""
    predictor = load_predictor(run, trust_modules=trust_modules)
    files = worst_files(run, predictor, trust_modules)
    out = own_folder(run, files)
    done = explain_files(predictor, files, out, build_methods([DEFAULT]), 1, lenient=True)
    why = (done.unable or {}).get(DEFAULT)
    if why is None:
        return done
    print(f"lightdet: {shown(f'{run}: explained by {BLACK_BOX}, as {DEFAULT} cannot: {why}')}", file=sys.stderr)
    return explain_files(predictor, files, out, build_methods([BLACK_BOX]), 1)


def _validation(run: Path, predictor: Predictor, trust_modules: bool) -> list[Record]:
    return data_of(run_config(run, trust_modules), predictor.classes).records["val"]
