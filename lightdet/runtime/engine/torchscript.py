"""torch.jit on the CPU: files that end in .torchscript."""

from pathlib import Path
from typing import Any

from lightdet.runtime.engine.archive import check_torchscript
from lightdet.runtime.engine.torch_file import TorchFile


class TorchScript(TorchFile):
    """See `TorchFile`."""

    def check(self, path: Path) -> None:
        check_torchscript(path)

    def opened(self, torch: Any, path: Path, told: dict[str, Any]) -> Any:
        return torch.jit.load(str(path), map_location="cpu", _extra_files=told).eval()


open_file = TorchScript
