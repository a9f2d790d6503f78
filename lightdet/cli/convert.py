"""`lightdet convert`: write a dataset in another format."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lightdet.core.errors import LightdetError

KEYS = ("to", "out", "images")


def run(words: Sequence[str]) -> int:
    """Write the dataset that `lightdet train` would read to a new folder, in another format; prints how it is read."""
    parser = argparse.ArgumentParser(
        "lightdet convert",
        description=run.__doc__,
        epilog="to=coco|yolo|voc|labelme|datumaro out=FOLDER (a new one) images=copy|link (hard links)",
    )
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder of further options")
    parser.add_argument("setting", nargs="*", help="to=, out=, images=, and as for train: data=neu_det ...")
    options = parser.parse_intermixed_args(words)
    own = dict(word.split("=", 1) for word in options.setting if word.partition("=")[0] in KEYS and "=" in word)
    overrides = [word for word in options.setting if word.partition("=")[0] not in KEYS]
    missing = [key for key in ("to", "out") if not own.get(key)]
    if missing:
        raise LightdetError(f"no value for {missing[0]}: give to=coco, yolo, voc, labelme or datumaro, and out=FOLDER")
    from lightdet.config.compose import compose_config
    from lightdet.config.judge import missing_folder, require_values

    config = compose_config(overrides, options.config_dir)
    require_values(config)
    if text := missing_folder(config):
        raise LightdetError(text)
    root = config.data.reader.get("root")
    out = Path(own["out"]).expanduser()
    if root is not None and out.resolve().is_relative_to(Path(root).expanduser().resolve()):
        raise LightdetError(f"out={own['out']}: inside the dataset itself; give a folder outside of {root}")
    from hydra.utils import instantiate

    from lightdet.data.convert import convert

    reader = instantiate(config.data.reader)
    done = convert(reader, own["to"], out, own.get("images", "copy"), config.data.get("group"))
    for line in done.told:
        print(f"warning: {line}")
    counts = ", ".join(f"{count} {split}" for split, count in done.images.items())
    print(f"{out}: {counts} images with {done.boxes} boxes, as {own['to']}")
    print(f"lightdet train {done.words}")
    return 0
