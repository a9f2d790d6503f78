"""The distillations of a training, with their teachers."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.backbone.pretrained_lite0 import GIVEN, PretrainedLite0
from lightdet.config.settings import LITE0, SELF, average_teaches_from
from lightdet.core.errors import LightdetError
from lightdet.distill.contract import Distillation
from lightdet.distill.watched import Teacher, layers_of, watched
from lightdet.engine.load import load_run
from lightdet.model.contract import Model
from lightdet.runs.teachers import teacher_models

OF_DETECTORS = 32  # px, the coarsest stride


def distillations(cfg: DictConfig, student: Model, classes: Sequence[str]) -> list[Distillation]:
    """What the config group `distill` adds to a training: each option with its own adapters, all with the
    same teachers.

    Raises LightdetError for a teacher that is gone, has changed, or knows other classes, and for an option that is no
    distillation.
    """
    if not cfg.get("distill"):
        return []
    teachers = [_teacher(name, cfg, student, classes) for name in teacher_models(cfg.teacher)]
    own = watched(student)  # after its copy, which would else leave its own passes here
    chosen = []
    for name, option in cfg.distill.items():
        made = instantiate(option, _convert_="all")
        if not isinstance(made, Distillation):
            raise LightdetError(f"distill.{name}: {type(made).__name__} is no Distillation (lightdet.distill.contract)")
        made.begin(own, teachers, cfg.image_size)
        chosen.append(made)
    return chosen


def _teacher(name: str, cfg: DictConfig, student: Model, classes: Sequence[str]) -> Teacher:
    if name == SELF:
        average, teaches_from = deepcopy(student), average_teaches_from(cfg)
        return Teacher(average.network, layers_of(average), average, teaches_from, averages=True)
    if name == LITE0:  # no model: it predicts nothing here
        maps = GIVEN[OF_DETECTORS]
        return Teacher(PretrainedLite0(cfg.channels, OF_DETECTORS), [f"stages.{stage}" for stage in maps])
    loaded = load_run(Path(name))
    if loaded.classes != tuple(classes):
        raise LightdetError(
            f"teacher={name}: it knows {', '.join(loaded.classes)}, and the data {', '.join(classes)}; "
            "name a model that is trained on these"
        )
    return Teacher(loaded.model.network, layers_of(loaded.model), loaded.model)
