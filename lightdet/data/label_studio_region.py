"""Regions of Label Studio: shapes in percent of the image they were drawn on."""

from collections.abc import Collection
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.json_file import points
from lightdet.data.shapes import Box, Shape, box_around, ellipse_box, turned_box

BEYOND = 1e9  # larger than any size, percentage or angle
DRAWN = {  # keys of a shape's geometry, which tell its kind
    "polygon": ("points",),
    "ellipse": ("x", "y", "radiusX", "radiusY"),
    "rectangle": ("x", "y", "width", "height"),
}


def region_shape(
    region: dict[str, Any], place: str, where: str, labelled: Collection[object], left_out: LeftOut
) -> Shape | None:
    """The shape of one region, in px; None for one that has no box, which `left_out` counts.

    `labelled`: ids of the regions with a label. Some set-ups write a region twice, with a label and without one.
    Raises LightdetError for a region that is broken, has several labels, or was drawn on an image turned by the tool.
    """
    value = region.get("value", region)
    if not isinstance(value, dict):
        raise LightdetError(f"{where}: {place}: 'value' is missing or not an object; export it again")
    kind = next((name for name, keys in DRAWN.items() if all(key in value for key in keys)), None)
    names = next((value[key] for key in value if key.endswith("labels")), None)
    if kind is None or not names:
        if names is not None or region.get("id") not in labelled:
            what = "without a label" if kind else f"of the type {str(region.get('type') or 'unknown')[:40]}"
            left_out.add(f"regions {what}", f"{where}: {place}")
        return None
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise LightdetError(f"{where}: {place}: {str(names)[:60]} is not one label; give the region exactly one")
    if region.get("image_rotation"):
        raise LightdetError(
            f"{where}: {place}: drawn on an image turned in Label Studio (image_rotation); turn the file itself"
        )
    box = _box(kind, value, region, f"{where}: {place}")
    return Shape(place, names[0].strip(), box)


def _box(kind: str, value: dict[str, Any], region: dict[str, Any], where: str) -> Box:
    def number(holder: dict[str, Any], key: str) -> float:
        found = holder.get(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) <= BEYOND:
            raise LightdetError(f"{where}: {key!r} is {str(found)[:40]}, not a number; export it again")
        return float(found)

    width, height = number(region, "original_width"), number(region, "original_height")
    if kind == "polygon":
        corners = points(value["points"], "points", where, 3)
        return box_around((x * width / 100, y * height / 100) for x, y in corners)
    degrees = number(value, "rotation") if "rotation" in value else 0.0
    x, y = number(value, "x") * width / 100, number(value, "y") * height / 100
    if kind == "ellipse":
        radii = number(value, "radiusX") * width / 100, number(value, "radiusY") * height / 100
        return ellipse_box((x, y), radii, degrees)
    right = (number(value, "x") + number(value, "width")) * width / 100
    bottom = (number(value, "y") + number(value, "height")) * height / 100
    return turned_box((x, y, right, bottom), degrees, pivot=(x, y))
