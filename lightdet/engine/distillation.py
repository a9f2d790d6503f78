"""The distillations of a training, with their teachers."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.config.settings import SELF, average_teaches_from
from lightdet.core.errors import LightdetError
from lightdet.distill.contract import Distillation
from lightdet.distill.watched import Teacher, layers_of, watched
from lightdet.engine.load import load_run
from lightdet.model.contract import Model
from lightdet.runs.teachers import teacher_models


def distillations(cfg: DictConfig, student: Model, classes: Sequence[str]) -> list[Distillation]:
    """What the config group `distill` adds to a training: each option with its own adapters, all with the
    same teachers.

    Raises LightdetError for a teacher that is gone, has changed, or knows other classes, and for an option that is no
    distillation.
    """
    if not cfg.get("distill"):
        return []
    teachers = []
    for path in teacher_models(cfg.teacher):
        if path == SELF:
            average = deepcopy(student)
            teachers.append(
                Teacher(average.network, layers_of(average), average, average_teaches_from(cfg), averages=True)
            )
            continue
        loaded = load_run(Path(path))
        if loaded.classes != tuple(classes):
            raise LightdetError(
                f"teacher={path}: it knows {', '.join(loaded.classes)}, and the data {', '.join(classes)}; "
                "name a model that is trained on these"
            )
        teachers.append(Teacher(loaded.model.network, layers_of(loaded.model), loaded.model))
    own = watched(student)  # after its copy, which would else leave its own passes here
    chosen = []
    for name, option in cfg.distill.items():
        made = instantiate(option, _convert_="all")
        if not isinstance(made, Distillation):
            raise LightdetError(f"distill.{name}: {type(made).__name__} is no Distillation (lightdet.distill.contract)")
        made.begin(own, teachers, cfg.image_size)
        chosen.append(made)
    return chosen
