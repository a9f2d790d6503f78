"""Measuring a model on a dataset that is chosen as for a training: `data=voc data.reader.root=FOLDER`."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf, open_dict

from lightdet.config.compose import compose_config
from lightdet.config.judge import missing_folder, require_values
from lightdet.config.tree import lies_in, resolve
from lightdet.core.errors import LightdetError
from lightdet.ops.grid import plain_size

CHOICE = "data"
NO_DATA = "a model package has no dataset; choose one, such as data=voc data.reader.root=FOLDER"


def with_chosen_data(config: DictConfig, overrides: Sequence[str]) -> tuple[DictConfig, list[str]]:
    """The config with the dataset that `data=OPTION` chooses in place of its own, and the overrides that are left.

    Input size, channels, bits, batch, seed and `data.label` stay those of the model, unless `data.KEY=VALUE` says
    otherwise, and a dataset of boxes that does not know its classes has those of the model. Without such a word nothing
    changes. Raises
    LightdetError for a dataset that cannot be composed or is not there, and for a config of a model package, which has
    none, without such a word.
    """
    keys = {word: word.lstrip("+").partition("=")[0] for word in overrides}
    if CHOICE not in keys.values():
        if "reader" not in config.data and any(lies_in(key, (CHOICE,)) for key in keys.values()):
            raise LightdetError(NO_DATA)
        return config, list(overrides)
    words = [word for word, key in keys.items() if lies_in(key.replace("/", "."), (CHOICE,))]
    composed = compose_config([*_settings_of_model(config), *words])
    reader = composed.data.reader
    with open_dict(composed):
        unknown = OmegaConf.is_missing(reader, "classes") or reader.get("classes", ()) is None
        if unknown and composed.data.label is None:  # images may get other classes than the reader has
            reader.classes = list(config.classes)
        composed.data.augment = None  # of trainings alone
    require_values(composed)
    if missing := missing_folder(composed):
        raise LightdetError(missing)
    result = config.copy()
    with open_dict(result):
        result.data = resolve(composed.data)
    return result, [word for word in overrides if word not in words]


def _settings_of_model(config: DictConfig) -> list[str]:
    """What images and scores depend on, as overrides."""
    data, bits, label = config.data, config.data.bits, config.data.get("label")
    return [
        f"image_size={str(plain_size(config.image_size)).replace(' ', '')}",
        f"channels={data.channels}",
        f"seed={config.get('seed', 0)}",
        f"data.bits={'null' if bits is None else bits}",
        f"data.batch_size={data.batch_size}",
        f"data.label={'null' if label is None else label}",
    ]
