"""Which overrides name a run, and the folder name that they make. No torch here."""

import re

from lightdet.config.tree import digest, lies_in

MAX_SLUG = 120  # characters
NOT_SCIENCE_KEYS = (
    "data.num_workers",
    "data.cache_megabytes",
    "trainer.checkpoint_seconds",
    "trainer.device",
    "trainer.progress",
)
NOT_IN_SLUG = ("seed", "study", "runs_dir", "logger", "launcher", "hydra", *NOT_SCIENCE_KEYS)


def slug(overrides: list[str], keep_seed: bool = False) -> str:
    """A folder name for these choices: ["head=76", "attention=cbam"] -> "attention-cbam__head-76".

    Sorted by key; only letters, digits and `._-`; at most 120 characters. What does not change the training (seed,
    study, logger, ...) is left out. A hash tail keeps two names apart when characters had to go.
    """
    parts: list[tuple[str, str, bool]] = []
    told = [word for word in overrides if counts(key := word.partition("=")[0]) or (keep_seed and key == "seed")]
    for override in told:
        key, _, value = override.partition("=")
        key = key.lstrip("+")
        key_text = ("drop-" + key[1:] if key.startswith("~") else key).replace("/", ".")
        text = f"{key_text}-{value}" if value else key_text
        clean = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
        parts.append((key, clean, clean != text))
    if not parts:
        return "default"
    parts.sort()
    name = "__".join(clean for _, clean, _ in parts).lstrip(".")
    if len(name) > MAX_SLUG or any(lossy for _, _, lossy in parts):
        tail = digest(sorted(told))[:8]
        name = f"{name[: MAX_SLUG - 9]}-{tail}"
    return name


def counts(key: str) -> bool:
    """Whether an override of this key is one of the choices that name a run."""
    bare = key.lstrip("+~").split("@")[0].replace("/", ".")
    return not lies_in(bare, NOT_IN_SLUG)
