"""lightdet from Python; everything is imported when it is first used.

    run = lightdet.train("model=light", "data=neu_det", "trainer.max_epochs=15")
    model = lightdet.load(run)
    results = model("part.jpg")
    results[0].boxes, results[0].scores, results[0].names
    lightdet.evaluate(run, split="test")

`lightdet.api` documents the functions.
"""

import os
from typing import TYPE_CHECKING

# ONNX Runtime, from version 1.29 on, reports to its maker unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from lightdet.api import Run, build, compose, evaluate, load, train
    from lightdet.core.errors import LightdetError
    from lightdet.engine.detection_result import Box, DetectionResult
    from lightdet.engine.predictor import Predictor
    from lightdet.engine.result import Result

__all__ = [
    "Box",
    "DetectionResult",
    "LightdetError",
    "Predictor",
    "Result",
    "Run",
    "build",
    "compose",
    "evaluate",
    "load",
    "train",
]

if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> object:
        """PEP 562: import the module of a public name. Torch comes with the functions that need it."""
        if name not in __all__:
            raise AttributeError(f"module 'lightdet' has no attribute {name!r}; it has {', '.join(__all__)}")
        from importlib import import_module

        homes = {
            "LightdetError": "core.errors",
            "Box": "engine.detection_result",
            "DetectionResult": "engine.detection_result",
            "Predictor": "engine.predictor",
            "Result": "engine.result",
        }
        value = getattr(import_module(f"lightdet.{homes.get(name, 'api')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
