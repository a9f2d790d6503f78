"""Names of studies and runs, and the choices of a job. No torch here."""

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.names import slug
from lightdet.config.tree import ignored, unused
from lightdet.core.errors import LightdetError

NOT_CHOICES = ("study", "name", "launcher", "runs_dir", "num_classes")
YOUNGER: dict[str, Any] = {"weights": None, "teacher": None}  # left out then: older jobs lack them
YOUNGER |= {group: "none" for group in ("callback", "compress", "distill", "experiment")}
SEVERAL = ("callback", "distill")  # groups of several options at once, which Hydra does not list among the choices
RESERVED = ("last", "jobs", "report")


def chosen(cfg: DictConfig) -> dict[str, Any]:
    """The chosen option of each group and the plain values at the top: {"attention": "cbam", "head": 76, ...}.

    A group that is chosen a second time inside another option has that option in its name ("attention@model..."), and
    what nothing reads, a plain value or a group that the model ignores, is "-", whatever its value.
    """
    options = OmegaConf.select(cfg, "hydra.runtime.choices") or {}  # of a composed job
    names: dict[str, Any] = {str(key): value for key, value in options.items() if not str(key).startswith("hydra/")}
    names |= {key: "-" for key in names if key.replace("/", ".") in ignored(cfg)}
    names |= {group: ",".join(map(str, several)) for group in SEVERAL if (several := OmegaConf.select(cfg, group))}
    idle = unused(cfg)
    plain = {str(key): "-" if key in idle else cfg[key] for key in cfg if not OmegaConf.is_config(cfg[key])}
    return {
        key: value
        for key, value in {**names, **plain}.items()
        if key not in NOT_CHOICES and not (key in YOUNGER and value == YOUNGER[key])
    }


def study_name(name: str) -> str:
    """The name, checked as a folder name. Raises LightdetError for an invalid one."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]*", name) or ".." in name or name.endswith("/"):
        raise LightdetError(f"study={name}: a study is a folder name made of letters, digits, '.', '_', '-' and '/'")
    return name


def run_name(name: Any) -> str:
    """The value of `name`, checked as a folder name; "" for null. Raises LightdetError for an invalid one."""
    if name is None:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", str(name)) or str(name) in RESERVED:
        raise LightdetError(
            f"name={name}: a run's name is a folder name of at most 80 letters, digits, '.', '_' and '-', and none of "
            f"{', '.join(RESERVED)}"
        )
    return str(name)


def sweep_slug(words: list[str]) -> str:
    """The study's name: what is swept and what is fixed, ["attention=cbam,none"] -> "attention-cbam-none"."""
    swept = [word.replace(",", "-") if re.fullmatch(r"[^=]+=[\w.,-]+", word) else word for word in words]
    return slug(swept, keep_seed=any(word.startswith("seed=") and not word[5:].isdigit() for word in words))
