"""Code that is named as module:object, so that naming it imports nothing."""

import importlib
from typing import Any


def named(name: str) -> Any:
    """The function or class that `module:object` names. Raises ImportError or AttributeError where there is none."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
