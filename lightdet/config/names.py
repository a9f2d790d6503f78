"""Which overrides count as choices, and the folder names made of them. No torch here."""

import re
from collections.abc import Sequence

from lightdet.config.tree import digest, lies_in

MAX_SLUG = 120  # characters
MAX_SHORT = 60
NOT_SCIENCE_KEYS = (
    "data.num_workers",
    "data.cache_megabytes",
    "trainer.checkpoint_seconds",
    "trainer.device",
    "trainer.progress",
    "weights.file",  # its content counts
    "teacher.models",  # likewise
)
NOT_IN_SLUG = ("seed", "name", "study", "runs_dir", "logger", "launcher", "hydra", *NOT_SCIENCE_KEYS)


def slug(overrides: list[str], keep_seed: bool = False) -> str:
    """A folder name for these choices: ["head=76", "attention=cbam"] -> "attention-cbam__head-76".

    Sorted by key; only letters, digits and `._-`; at most 120 characters. What does not change the training (seed,
    study, logger, ...) is left out. A hash tail keeps two names apart when characters had to go.
    """
    named = [word for word in overrides if counts(key := word.partition("=")[0]) or (keep_seed and key == "seed")]
    return _joined(named, [word.partition("=")[::2] for word in named], MAX_SLUG)


def short_slug(overrides: list[str]) -> str:
    """The same with the last part of each key, and the last two of a path; at most 60 characters.

    ["model=light", "trainer.max_epochs=60"] -> "model-light__max_epochs-60". Two keys with one last part stay whole.
    """
    named = [word for word in overrides if counts(word.partition("=")[0])]
    parts = [word.partition("=")[::2] for word in named]
    last = [key if "/" in key or "@" in key else key.lstrip("+").rpartition(".")[2] for key, _ in parts]
    short = [
        (part if last.count(part) == 1 else key, "/".join(value.rsplit("/", 2)[-2:]))
        for part, (key, value) in zip(last, parts, strict=True)
    ]
    return _joined(named, short, MAX_SHORT)


def _joined(words: list[str], parts: Sequence[tuple[str, str]], longest: int) -> str:
    """The parts (key, value) as one name; a hash of the words at its end where characters had to go."""
    texts: list[tuple[str, str, bool]] = []
    for word, (key, value) in zip(words, parts, strict=True):
        key = key.lstrip("+")
        key_text = ("drop-" + key[1:] if key.startswith("~") else key).replace("/", ".")
        text = f"{key_text}-{value}" if value else key_text
        clean = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
        texts.append((word.partition("=")[0].lstrip("+"), clean, clean != text))
    if not texts:
        return "default"
    texts.sort()
    name = "__".join(clean for _, clean, _ in texts).lstrip(".")
    if len(name) > longest or any(lossy for _, _, lossy in texts):
        name = f"{name[: longest - 9]}-{digest(sorted(words))[:8]}"
    return name


def counts(key: str) -> bool:
    """Whether an override of this key is one of the choices that name a run."""
    bare = key.lstrip("+~").split("@")[0].replace("/", ".")
    return not lies_in(bare, NOT_IN_SLUG)
