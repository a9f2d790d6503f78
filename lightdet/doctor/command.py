"""`lightdet doctor`: examines a dataset before training on it.

Exit codes: 0 no warning (notes at most), 1 warnings: training works, but check them first, 2 errors: training would
refuse this dataset or fail.
"""

import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.data.labels import DatasetError
from lightdet.data.record import Reader
from lightdet.doctor.examine import examine
from lightdet.doctor.label_checks import Labelling
from lightdet.doctor.mend import CHANGES_FILE, LOSSES, mend
from lightdet.doctor.report import print_problems, print_report, write_report
from lightdet.ops.grid import check_image_size, plain_size


def run_doctor(cfg: DictConfig, as_json: bool = False) -> int:
    """Examine the data of a composed configuration: the report printed, and written with a picture.

    It goes to `<runs_dir>/doctor/<dataset>/`; nothing is written when labels cannot be read. Returns the exit code.
    """
    try:
        check_image_size(cfg.image_size)
        size, bits, group = plain_size(cfg.image_size), cfg.data.get("bits"), cfg.data.get("group")
        examination = examine(_make_reader(cfg), size, bits=bits, group=group, labelling=_labelling(cfg))
    except DatasetError as error:
        return print_problems(error.problems, as_json)
    except LightdetError as error:
        return print_problems((str(error),), as_json)
    folder = write_report(examination, Path(cfg.runs_dir) / "doctor" / _dataset_name(cfg), _dataset_name(cfg))
    print_report(examination, folder, as_json)
    return examination.exit_code


def run_fix(cfg: DictConfig, out: Path) -> tuple[list[str], int]:
    """Writes the mended copy of the data of a composed configuration to the new folder `out`, and tells the changes.

    Returns the words of a command line that choose the copy, and an exit code: 1 where something that is no duplicate
    is not in the copy, else 0. Raises LightdetError.
    """
    root = cfg.data.reader.get("root")
    if root is not None and out.resolve().is_relative_to(Path(root).expanduser().resolve()):
        raise LightdetError(f"--fix {out}: inside the dataset itself; give a folder outside of {root}")
    done, changes = mend(_make_reader(cfg), out, cfg.data.get("group"))
    counts = Counter(change.what for change in changes)
    print(f"{out}: a mended copy of {sum(done.images.values())} images and {done.boxes} boxes", file=sys.stderr)
    for what, count in counts.items():
        print(f"  {count:>6,}  {what}", file=sys.stderr)
    bits = cfg.data.get("bits")
    words = done.words + (f" data.bits={bits}" if bits is not None else "")
    print(f"  each change is a line of {out / CHANGES_FILE}", file=sys.stderr)
    print(f"lightdet train {words}", file=sys.stderr)
    return shlex.split(done.words), int(any(what in LOSSES for what in counts))


def _labelling(cfg: DictConfig) -> Labelling | None:
    """Of a classifier, whose data has a rule for labels."""
    if cfg.data.get("label") is None:
        return None
    per_class = cfg.data.get("per_class")
    amount: Any = OmegaConf.to_container(per_class, resolve=True) if OmegaConf.is_config(per_class) else per_class
    return Labelling(str(cfg.data.label), amount, int(cfg.data.get("per_class_seed") or 0))


def _make_reader(cfg: DictConfig) -> Reader:
    """The LightdetError inside an exception of Hydra, which wraps the errors of constructors."""
    try:
        reader: Reader = instantiate(cfg.data.reader)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, LightdetError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from error
        raise
    return reader


def _dataset_name(cfg: DictConfig) -> str:
    kind = str(cfg.data.reader._target_).rpartition(".")[2].lower()
    root = Path(str(cfg.data.reader.get("root") or "")).name
    return f"{kind}-{root}" if root else kind
