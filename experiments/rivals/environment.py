"""What a process of a rival inherits from ours."""

import os
from pathlib import Path

from lightdet.core.allocator import VARIABLE

OURS = (VARIABLE, "PYTHONPATH")  # our memory allocator's settings and our modules are part of our side


def rival_environment(home: Path) -> dict[str, str]:
    """Our environment without what is ours; Ultralytics keeps its settings in `home` and calls nobody."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return inherited | {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(home)}
