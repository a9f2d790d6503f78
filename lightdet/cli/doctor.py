"""`lightdet doctor`: examine a dataset before training on it, or write a mended copy of it."""

from collections.abc import Sequence
from pathlib import Path

from lightdet.core.options import OptionParser


def run(words: Sequence[str]) -> int:
    """Examine the data that `lightdet train` would read; exit code 0 when clean, 1 for warnings, 2 for errors. With
    --fix a copy is examined, and the exit code is 1 also where a box or an image could not be brought into it."""
    parser = OptionParser("lightdet doctor", description=run.__doc__)
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder of further options")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--fix", type=Path, metavar="OUT", help="write a mended copy to a new folder, and examine that")
    parser.add_argument("override", nargs="*", help="as for train: data=neu_det image_size=224 ...")
    options = parser.parse_intermixed_args(words)
    from lightdet.config.compose import compose_config
    from lightdet.config.judge import require_values

    config = compose_config(options.override, options.config_dir)
    require_values(config)
    from lightdet.doctor.command import run_doctor, run_fix

    if options.fix is None:
        return run_doctor(config, options.json)
    other = [word for word in options.override if not word.startswith(("data=", "data.reader.", "data.group="))]
    copy, lost = run_fix(config, options.fix)
    return max(lost, run_doctor(compose_config([*copy, *other], options.config_dir), options.json))
