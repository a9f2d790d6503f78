"""`lightdet convert`: write a dataset in another format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser

KEYS = ("to", "out", "images")
CROP_KEYS = ("margin", "least", "background", "background_seed")
FORMS = "coco, yolo, voc, labelme, datumaro or crops"


def run(words: Sequence[str]) -> int:
    """Write the dataset that `lightdet train` would read to a new folder, in another format or as a crop of each box;
    prints how it is read."""
    parser = OptionParser(
        "lightdet convert",
        description=run.__doc__,
        epilog="to=coco|yolo|voc|labelme|datumaro out=FOLDER (a new one) images=copy|link (hard links); to=crops "
        "margin=0.25 (of the box's longer side) least=16 (px) background=0 (crops of each image that touch no box) "
        "background_seed=0",
    )
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder of further options")
    parser.add_argument("setting", nargs="*", help="to=, out=, images=, and as for train: data=neu_det ...")
    options = parser.parse_intermixed_args(words)
    keys = (*KEYS, *CROP_KEYS)
    own = dict(word.split("=", 1) for word in options.setting if word.partition("=")[0] in keys and "=" in word)
    overrides = [word for word in options.setting if word.partition("=")[0] not in keys]
    missing = [key for key in ("to", "out") if not own.get(key)]
    if missing:
        raise LightdetError(f"no value for {missing[0]}: give to={FORMS}, and out=FOLDER")
    foreign = [key for key in own if key in (("images",) if own["to"] == "crops" else CROP_KEYS)]
    if foreign:
        raise LightdetError(f"{foreign[0]}={own[foreign[0]]}: nothing reads it with to={own['to']}")
    numbers = {key: _number(key, own[key]) for key in CROP_KEYS if key in own}
    from lightdet.config.compose import compose_config
    from lightdet.config.judge import missing_folder, require_values

    config = compose_config(overrides, options.config_dir)
    require_values(config)
    if text := missing_folder(config):
        raise LightdetError(text)
    if (per_class := config.data.get("per_class")) is not None:
        raise LightdetError(f"data.per_class={per_class}: every image is written; set it for the training that follows")
    root = config.data.reader.get("root")
    out = Path(own["out"]).expanduser()
    if root is not None and out.resolve().is_relative_to(Path(root).expanduser().resolve()):
        raise LightdetError(f"out={own['out']}: inside the dataset itself; give a folder outside of {root}")
    from hydra.utils import instantiate

    reader, group = instantiate(config.data.reader), config.data.get("group")
    if own["to"] == "crops":
        from lightdet.data.crops import Cropping, write_crops

        settings: dict[str, Any] = {key.removeprefix("background_"): value for key, value in numbers.items()}
        done = write_crops(reader, out, Cropping(**settings), group)
    else:
        from lightdet.data.convert import convert

        done = convert(reader, own["to"], out, own.get("images", "copy"), group)
    for line in done.told:
        print(f"warning: {line}")
    counts = ", ".join(f"{count} {split}" for split, count in done.images.items())
    print(f"{out}: {counts} images with {done.boxes} boxes, as {own['to']}")
    print(f"lightdet train {done.words}")
    return 0


def _number(key: str, text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError as error:
            raise LightdetError(f"{key}={text}: give a number") from error
