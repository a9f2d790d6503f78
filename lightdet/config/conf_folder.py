"""Where the configuration lives: inside the installed package, or at the top of a clone."""

from pathlib import Path

from lightdet.core.errors import LightdetError


def conf_folder() -> Path:
    """Absolute folder that holds `train.yaml`.

    A wheel carries it as `lightdet/conf`; a clone, and an editable install of one, keeps it beside the package.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise LightdetError(f"no conf/train.yaml beside {package}: the installation is incomplete, install lightdet again")
