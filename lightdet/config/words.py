"""Words of a command line, before anything is composed from them. No torch here."""

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException

from lightdet.config.conf_folder import conf_folder
from lightdet.config.names import counts
from lightdet.core.errors import LightdetError

NAMELESS = (bool, int, float, dict, type(None))  # types of a parsed value that is not the name of an option
SEVERAL = ("logger", "callback", "distill", "explain")  # groups of which several options are chosen at once, as a list


def with_full_names(words: Sequence[str]) -> list[str]:
    """The words with `study=NAME` written as Hydra takes it: study.name=NAME."""
    return [re.sub(r"^study=", "study.name=", word) for word in words]


def require_words(words: Sequence[str]) -> None:
    """Raise LightdetError for words that Hydra accepts without effect, or rejects without naming them: one without a
    key, an option that is not a name, several options of one group, a sweep over what changes no training."""
    parser = OverridesParser.create()
    for word in words:
        try:
            override = parser.parse_override(word)
        except HydraException:
            continue  # composing names it
        key, value = override.key_or_group, override.value()
        if not key:
            raise LightdetError(f"{word}: not understood as key=value; the key is missing")
        if key.startswith(("hydra.", "hydra/")) and key != "hydra.searchpath":
            raise LightdetError(f"{word}: Hydra only composes; runs_dir, study and launcher decide where runs go")
        if override.is_sweep_override() and key != "seed" and not counts(key):
            together = f"; several at once are a list, {key}=[a,b]" if key in SEVERAL else ""
            raise LightdetError(f"{word}: it changes no training, so there is nothing to sweep{together}")
        group = conf_folder() / key
        chosen = value.list if isinstance(value, ChoiceSweep) else [value]
        if not group.is_dir() or override.is_delete():
            continue
        if any(isinstance(one, NAMELESS) for one in chosen):
            options = sorted(file.stem for file in group.glob("*.yaml"))
            raise LightdetError(f"{word}: there is no such option; choose one of {', '.join(options)}")
        if key not in SEVERAL and any(isinstance(one, list) for one in chosen):
            raise LightdetError(f"{word}: this group takes one option; for a training of each, {key}=a,b and -m")
