"""Reading YAML that others wrote: bounded in size, in depth, and in what its aliases expand to. No torch here.

300 bytes of aliases of aliases describe a tree of 10^9 nodes. The loader shares the nodes, but whatever walks the
tree afterwards never ends, so the tree is measured before it is built.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightdet.core.errors import LightdetError
from lightdet.core.reading import MEBIBYTE, read_text

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a file may cost."""

    size: int = 8 * MEBIBYTE  # bytes
    nodes: int = 200_000  # values and keys, with every alias replaced by what it stands for
    depth: int = 60  # levels


PLAIN = Budget()


def load_yaml(path: Path, budget: Budget = PLAIN, loader: Any = Loader) -> Any:
    """The content of a YAML file, built by `loader`, a safe one.

    Raises LightdetError for a file that is broken or beyond the budget, and OSError for one that cannot be opened.
    """
    text = read_yaml_text(path, budget)
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise LightdetError(f"{path}: not readable as YAML ({problem_of(error)}); correct the file") from error
    except (ValueError, TypeError, RecursionError) as error:  # impossible dates, numbers without end, odd keys
        raise LightdetError(f"{path}: not readable as YAML ({type(error).__name__}); correct the file") from error


def read_yaml_text(path: Path, budget: Budget = PLAIN) -> str:
    """The text of a YAML file whose tree keeps to the budget. Raises as `load_yaml` does."""
    text = read_text(path, budget.size)
    try:
        node = yaml.compose(text, Loader)
        if node is not None and _extent(node, budget, {}, 0)[0] > budget.nodes:
            raise LightdetError(f"{path}: with its aliases expanded, more than {budget.nodes} values; remove them")
    except yaml.YAMLError as error:
        raise LightdetError(f"{path}: not readable as YAML ({problem_of(error)}); correct the file") from error
    except RecursionError as error:
        raise LightdetError(f"{path}: nested more than {budget.depth} levels deep, or a part holds itself") from error
    return text


def problem_of(error: yaml.YAMLError) -> str:
    """The reason and its line, without line breaks."""
    mark = getattr(error, "problem_mark", None)
    reason = str(getattr(error, "problem", None) or error)
    return " ".join(reason.split())[:120] + (f", line {mark.line + 1}" if mark else "")


def _extent(node: yaml.Node, budget: Budget, known: dict[int, tuple[int, int]], depth: int) -> tuple[int, int]:
    """How many nodes a node stands for, and its levels; each distinct one is visited once.

    Raises RecursionError for more levels than the budget has, as a part that holds itself has.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1, 1
    if id(node) not in known:
        if depth >= budget.depth:
            raise RecursionError
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(each,) for each in node.value]
        parts = [_extent(part, budget, known, depth + 1) for pair in pairs for part in pair]
        known[id(node)] = 1 + sum(count for count, _ in parts), 1 + max((levels for _, levels in parts), default=0)
    if depth + known[id(node)][1] > budget.depth:
        raise RecursionError
    return known[id(node)]
