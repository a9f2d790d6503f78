"""Pascal VOC in the classic layout: JPEGImages/, Annotations/ and the lists in ImageSets/Main/."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from lightdet.data.writer.contract import Placed, Settings, Splits, exact, put

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Voc:
    """Corners are continuous coordinates with the digits of float32. The format does not keep the order of the classes:
    data.reader.classes does."""

    option = "voc"
    crowd = False
    strips = True

    def image(self, split: str, name: str) -> str:
        return f"JPEGImages/{name}"

    def write(self, folder: Path, classes: Sequence[str], splits: Splits) -> None:
        for split, placed in splits.items():
            for one in placed:
                put(folder / "Annotations" / Path(one.name).with_suffix(".xml").name, _xml(one, classes))
            names = "".join(f"{Path(one.name).stem}\n" for one in placed)
            put(folder / "ImageSets" / "Main" / f"{split}.txt", names)

    def settings(self, classes: Sequence[str], splits: Splits) -> Settings:
        return {"classes": list(classes)}


def _xml(one: Placed, classes: Sequence[str]) -> str:
    objects = []
    for box, label in zip(one.record.boxes_xyxy, one.record.box_labels, strict=True):
        corners = "".join(f"<{key}>{exact(value)}</{key}>" for key, value in zip(CORNERS, box, strict=True))
        objects.append(
            f"  <object><name>{escape(classes[int(label)])}</name><difficult>0</difficult>"
            f"<bndbox>{corners}</bndbox></object>\n"
        )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotation>\n'
        f"  <folder>JPEGImages</folder><filename>{escape(one.name)}</filename>\n"
        f"  <size><width>{one.width}</width><height>{one.height}</height></size>\n"
        f"{''.join(objects)}</annotation>\n"
    )
