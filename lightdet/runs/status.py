"""The facts of `status.json`, each of the kind that it should be. No torch here."""

import math
from pathlib import Path
from typing import Any

ENDED = ("done", "failed", "pruned")  # a process recorded the end of the run; one that died before that is "killed"
STATES = ("queued", "running", "killed", *ENDED)
UNREADABLE = "unreadable"  # of a run whose status.json is damaged: as failed, and what it was is not known
LONGEST = 10_000  # letters of a fact
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("reason", "traceback", "study", "slug", "fingerprint", "host"), str),
    **dict.fromkeys(("started", "updated", "finished"), str),
    **dict.fromkeys(("epoch", "epochs", "pid"), int),
    **dict.fromkeys(("best", "share", "share_at_start"), (int, float)),
    "seed": (int, str),
    "choices": dict,
    "overrides": list,
}


def checked_status(status: dict[str, Any], path: Path) -> dict[str, Any]:
    """The status without facts of another kind; a state that is none is `UNREADABLE`, with `path` in the reason."""
    kept = {name: value for name, value in status.items() if _fits(value, KINDS.get(name))}
    if status.get("state", STATES[0]) not in STATES:
        said = str(status["state"])[:40]
        return {**kept, "state": UNREADABLE, "reason": f"{path}: {said!r} is no state of a run; delete the file"}
    return kept


def _fits(value: Any, kind: type | tuple[type, ...] | None) -> bool:
    if kind is None:
        return True
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, str):
        return len(value) <= LONGEST
    return not isinstance(value, int | float) or (abs(value) < 2**63 and math.isfinite(value))
