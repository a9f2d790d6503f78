"""Groups of images that belong together: those of one part, lot or camera, as their names tell."""

from lightdet.core.errors import LightdetError, demand_expression
from lightdet.data.record import Reader, Record, Splits, with_bits
from lightdet.data.split import Drawn, split


def read_splits(reader: Reader, bits: int | None = None, group: str | None = None) -> dict[str, list[Record]]:
    """What a reader reads, with `data.bits` and `data.group` applied.

    A split that lightdet drew is drawn again so that no group is on both sides; one that the dataset brings is left as
    it is. Raises LightdetError as the reader does, for a wrong depth, and for a `group` that gives no groups.
    """
    splits = reader.read()
    if group is not None:
        names = group_names(splits, group)
        train, val = splits.get("train"), splits.get("val")
        if isinstance(train, Drawn) and isinstance(val, Drawn):
            train, val = split(
                [*train, *val], val.val_share, val.seed, len(reader.classes), lambda record: names[record.image_id]
            )
            splits = {**splits, "train": train, "val": val}
    return with_bits(splits, bits)


def group_names(splits: Splits, group: str) -> dict[str, str]:
    """The group of each image id. Raises LightdetError for an expression that is not one, that some of the names do not
    contain, and that puts everything into one group.

    `group` is searched in the image id, or where that does not contain it in the file name alone, so that `^` is the
    start of either. The name of the group is what its brackets captured, or all that it matched.
    """
    pattern = demand_expression("data.group", group)
    images = dict.fromkeys(record.image_id for records in splits.values() for record in records)
    names, without = dict[str, str](), list[str]()
    for image in images:
        found = pattern.search(image) or pattern.search(image.rpartition("/")[2])
        if found is None:
            without.append(image)
        else:
            parts = [part for part in found.groups() if part is not None]
            names[image] = " ".join(parts) if parts else found[0]
    if without:
        share = f"{len(without):,} of {len(images):,} image names" if names else "any image name"
        raise LightdetError(
            f"data.group={group}: not found in {share}, e.g. {without[0]}; correct the expression, or end it with "
            "|(.+) to let each of those images be a group of its own"
        )
    if len(images) > 1 and len(set(names.values())) == 1:
        raise LightdetError(
            f"data.group={group}: all {len(images):,} images are in one group, {names[next(iter(images))]!r}; capture "
            "in brackets what differs between the groups"
        )
    return names


def shared_groups(splits: Splits, group: str) -> dict[str, dict[str, list[str]]]:
    """The groups with images in more than one split: the image ids by split. Raises LightdetError as `group_names`."""
    names = group_names(splits, group)
    found: dict[str, dict[str, list[str]]] = {}
    for name, records in splits.items():
        for record in records:
            found.setdefault(names[record.image_id], {}).setdefault(name, []).append(record.image_id)
    return {key: by_split for key, by_split in found.items() if len(by_split) > 1}
