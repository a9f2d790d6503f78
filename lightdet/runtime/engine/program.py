"""torch.export on the CPU: files that end in .pt2."""

from pathlib import Path
from typing import Any

from lightdet.runtime.engine.archive import check_program
from lightdet.runtime.engine.torch_file import TorchFile


class Program(TorchFile):
    """See `TorchFile`."""

    def check(self, path: Path) -> None:
        check_program(path)

    def opened(self, torch: Any, path: Path, told: dict[str, Any]) -> Any:
        return torch.export.load(str(path), extra_files=told).module()


open_file = Program
