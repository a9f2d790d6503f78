"""One-line errors about a command line or its configuration, with the setting that was probably meant. No torch."""

import errno
import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lightdet.config.composition import composed
from lightdet.config.conf_folder import conf_folder
from lightdet.config.foreign import FOREIGN, HINTS
from lightdet.config.list_word import list_word, names_in
from lightdet.core.errors import not_loaded, underneath
from lightdet.core.outside import outside

NOISE = ("object_type=", "reference_type=", "See https://", "Config search path")
UNKNOWN = re.compile(r"Could not override '([^']+)'")
SEVERAL = re.compile(r"Ambiguous value for argument '([^']+)'")
TWICE = re.compile(r"Multiple values for (\S+)\. To override a value use 'override (\S+): (\S+)'")
LIKE = 0.6  # difflib's similarity from which on a name is taken for a typing error of another
NO_SUCH_CODE = ("Error locating target", "unexpected keyword argument")  # in Hydra's words
WRONG_PATH = (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)  # of a path that was given
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a disk or a quota that is full, or a disk to be read only


def is_user_error(error: Exception) -> bool:
    """Whether one line explains the error; another error of a constructor is a defect, shown with its traceback."""
    if isinstance(error, InstantiationException) and not any(words in str(error) for words in NO_SUCH_CODE):
        return underneath(error) is not None
    explained = underneath(error) or not_written(error) or outside(error)
    return bool(explained) or isinstance(error, (HydraException, OmegaConfBaseException))


def not_written(error: Exception) -> str:
    """One line for a file that could not be written; "" for any other error."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return f"{error.filename or 'a file'}: {error.strerror}; free some space, or give another path"
    return f"{error.filename}: {error.strerror}; give another path" if isinstance(error, WRONG_PATH) else ""


def reason(error: Exception) -> str:
    """One line for an error that `is_user_error` accepts; the message of the LightdetError that caused it, if any."""
    if unwritten := not_written(error):
        return unwritten
    if cause := underneath(error):
        return " ".join(str(cause).split())
    return outside(error) or refusal(error)


def refusal(error: Exception) -> str:
    """One line for an error of Hydra or OmegaConf about a configuration: the wrong override, and the valid choices."""
    if isinstance(error, MissingConfigException) and error.options:
        file = str(error.missing_cfg_file)  # group/option, and data=/a/folder is data//a/folder
        group, _, option = file.partition("//") if "//" in file else file.rpartition("/")
        hint = f"; {HINTS[group]}" if group in HINTS else ""
        return f"{group}={option}: there is no such option; choose one of {', '.join(error.options)}{hint}"
    if isinstance(error, OverrideParseException):
        key, _, value = str(error.override).partition("=")
        if value.startswith("[") and (names := names_in(value)):
            form = list_word(key, names)
            return f"{error.override}: not understood as key=value; write names with signs or other letters as {form}"
        text = shlex.quote(f'{key}="{value}"' if value else 'key="text"')  # Hydra has to see quotes, too
        return f"{error.override}: not understood as key=value; write a list as 'key=[a,b]', text with signs as {text}"
    if several := SEVERAL.match(str(error)):
        return f"{several[1]}: several values; for a training of each, add -m"
    if twice := TWICE.match(str(error)):
        group, option = twice[1], twice[3]
        return f"{group}: chosen twice; write {group}={option} without +, or in a file `override /{group}: {option}`"
    if unknown := UNKNOWN.match(str(error)):
        key = unknown[1]
        if (conf_folder() / key).is_dir():
            return f"{key}: none of the chosen options uses this config group"
        return f"{key}: there is no such setting; {advice(key)}"
    if unloaded := not_loaded(error):
        return unloaded
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith(NOISE))


def advice(key: str, cfg: DictConfig | None = None) -> str:
    """What to write instead of a key that a configuration (None: the default one) does not have."""
    if key in FOREIGN:
        return FOREIGN[key]
    known = [name for name in _settings(cfg) if name != key]
    above = key.rpartition(".")[0]
    beside = [name for name in known if name.rpartition(".")[0] == above]
    if meant := _meant(key, known, beside):
        return f"did you mean {meant}?"
    if above and beside:
        return f"{above} has {', '.join(name.rpartition('.')[2] for name in beside)}"
    return "`lightdet train --cfg job` prints every setting"


def _settings(cfg: DictConfig | None) -> list[str]:
    """Every key that can be set, dotted, those that repeat another one last, then the config groups; none where the
    configuration itself is broken."""
    try:
        found = _dotted(default_config() if cfg is None else cfg)
        settings = [name for name, _ in sorted(found, key=lambda pair: pair[1])]
    except (HydraException, OmegaConfBaseException):
        return []
    return settings + [path.relative_to(conf_folder()).as_posix() for path in conf_folder().rglob("*") if path.is_dir()]


def _meant(key: str, known: Sequence[str], beside: Sequence[str]) -> str:
    """The name most similar to a wrong key: with the same last part, in the same section, or anywhere; "" for none."""
    last = key.rpartition(".")[2]
    alike = [name for name in known if name.rpartition(".")[2] == last]
    anywhere = () if beside and "." in key else known
    for names, cutoff in ((alike, 1.0), (beside, LIKE), (anywhere, LIKE)):
        by_last = {name.rpartition(".")[2]: name for name in reversed(names)}
        if found := get_close_matches(last, by_last, n=1, cutoff=cutoff):
            return by_last[found[0]]
    return ""


def default_config() -> DictConfig:
    """The configuration without any override."""
    return _default(conf_folder())


@cache
def _default(conf: Path) -> DictConfig:
    cfg = composed([])
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def _dotted(cfg: DictConfig, above: str = "") -> Iterator[tuple[str, bool]]:
    """The keys of a configuration, outer ones first, and whether they only repeat another one."""
    for key, node in cfg.items_ex(resolve=False):
        name = str(key)
        if not name.startswith("_"):
            yield f"{above}{name}", OmegaConf.is_interpolation(cfg, name)
        if isinstance(node, DictConfig):
            yield from _dotted(node, f"{above}{name}.")
