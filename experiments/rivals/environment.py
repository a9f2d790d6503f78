"""The environment variables of a rival's process."""

import os
from pathlib import Path

from lightdet.core.allocator import VARIABLE

OWN = (VARIABLE, "PYTHONPATH", "PYTHONSAFEPATH")  # allocator settings and modules of lightdet


def rival_environment(home: Path) -> dict[str, str]:
    """This environment without lightdet's settings; Ultralytics keeps its settings in `home` and uses no network."""
    inherited = {name: value for name, value in os.environ.items() if name not in OWN}
    return inherited | {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(home)}
