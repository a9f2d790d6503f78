"""A rival trainer in a separate process and environment, called an epoch at a time."""

import json
import subprocess
from pathlib import Path
from typing import Any

from experiments.rivals.environment import rival_environment

DRIVER = Path(__file__).resolve().parent / "rival_driver.py"


class Rival:
    """A subprocess of `python` that trains `model`; `facts` is what it reported last.

    Its memory allocator has the system's defaults, not lightdet's settings.
    """

    def __init__(self, python: Path, model: str, threads: int, settings: dict[str, Any], home: Path) -> None:
        request = json.dumps({"model": model, "threads": threads, "train": settings})
        environment = rival_environment(home) | {"OMP_NUM_THREADS": str(threads)}
        self.log = home / "rival.log"
        self._process = subprocess.Popen(
            [python, "-u", DRIVER, request],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=home,
        )
        self.facts: dict[str, Any] = self._answer()

    def images_per_second(self) -> float:
        """Let it train one epoch."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.facts |= self._answer()
        return float(self.facts["images"] / self.facts["seconds"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            if line.startswith("@"):
                return dict(json.loads(line[1:]))
            said.append(line)
        raise SystemExit("the rival ended:\n" + "".join(said[-20:]))
