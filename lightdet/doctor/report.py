"""The doctor's report as text and as JSON; `lightdet.doctor.picture` draws it."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.shown import shown, shown_lines
from lightdet.core.table import to_text
from lightdet.doctor.checks import SMALLEST_SIDE, count_boxes
from lightdet.doctor.findings import Examination, Finding
from lightdet.doctor.near import TURNS
from lightdet.doctor.picture import draw_report
from lightdet.draw.attempt import attempt
from lightdet.ops.grid import STRIDES, size_text

SHOWN = 20  # findings, or problems, in the text; the JSON has them all


def as_dict(examination: Examination) -> dict[str, Any]:
    """The whole examination as plain numbers and texts, ready for JSON."""
    return {
        "image_size": examination.image_size,
        "classes": list(examination.classes),
        "splits": {
            name: {
                "images": len(records),
                "images_without_boxes": sum(not len(record.box_labels) for record in records),
                "boxes": sum(len(record.box_labels) for record in records),
                "boxes_per_class": dict(zip(examination.classes, count.tolist(), strict=True)),
                **({"images_per_label": dict(examination.labels[name])} if name in examination.labels else {}),
            }
            for name, records in examination.splits.items()
            for count in [count_boxes(records, len(examination.classes))]
        },
        "box_sizes": {name: _size_facts(examination, label) for label, name in enumerate(examination.classes)},
        "anchors": {
            "anchors_wh": examination.anchors.round(2).tolist(),
            "best_possible_recall": examination.recall,
            "per_class": dict(examination.recall_per_class),
        },
        "near_copies": [
            {
                "images": [pair.first.image_id, pair.second.image_id],
                "splits": list(pair.splits),
                "different_bits": pair.bits,
                "second_is": TURNS[pair.turn] or "as it is",
            }
            for pair in examination.near
        ],
        "findings": [_finding(finding) for finding in examination.findings],
        "exit_code": examination.exit_code,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "level": finding.level,
        "topic": finding.topic,
        "message": finding.message,
        "images": list(finding.images),
    }


def _size_facts(examination: Examination, label: int) -> dict[str, Any]:
    """Box sizes of a class over all splits, px, input frame; `below_stride_8`: boxes whose shorter side is."""
    sizes = examination.boxes.sizes[examination.boxes.labels == label]
    short = sizes.min(axis=1) if len(sizes) else np.zeros(0)
    median = np.median(sizes, axis=0).round(1).tolist() if len(sizes) else [None, None]
    return {
        "boxes": len(sizes),
        "median_width": median[0],
        "median_height": median[1],
        "shortest_side": round(float(short.min()), 2) if len(short) else None,
        **{f"below_stride_{stride}": int((short < stride).sum()) for stride in STRIDES},
        "unlearnable": int((short < SMALLEST_SIDE).sum()),
    }


def as_text(examination: Examination) -> str:
    """The report for a terminal."""
    if examination.labels:
        return "\n".join([*_label_lines(examination), *finding_lines(examination.findings)])
    facts = as_dict(examination)
    lines = [f"{len(examination.classes)} classes, input {size_text(examination.image_size)}", ""]
    rows = [["split", "images", "without boxes", "boxes"]]
    rows += [
        [name, f"{s['images']:,}", f"{s['images_without_boxes']:,}", f"{s['boxes']:,}"]
        for name, s in facts["splits"].items()
    ]
    lines += [*_table(rows), ""]
    below = [f"side < {stride}" for stride in STRIDES]
    rows = [["class", *facts["splits"], "median box", *below, f"< {SMALLEST_SIDE:g}: lost"]]
    for name, sizes in facts["box_sizes"].items():
        counts = [f"{split['boxes_per_class'][name]:,}" for split in facts["splits"].values()]
        box = f"{sizes['median_width']:.0f} x {sizes['median_height']:.0f}" if sizes["boxes"] else "-"
        shares = [_share(sizes[f"below_stride_{stride}"], sizes["boxes"]) for stride in STRIDES]
        rows.append([name, *counts, box, *shares, f"{sizes['unlearnable']:,}"])
    lines += [*_table(rows), "", _legend(examination), ""]
    return "\n".join([*lines, *finding_lines(examination.findings)])


def _label_lines(examination: Examination) -> list[str]:
    """Of a classifier: images of each label by split."""
    labels, totals = examination.labels, {name: len(records) for name, records in examination.splits.items()}
    names = list(dict.fromkeys(name for counts in labels.values() for name in counts))
    rows = [["label", *(f"{split} images" for split in labels)]]
    rows += [[name, *(f"{counts.get(name, 0):,}" for counts in labels.values())] for name in names]
    read = ", ".join(f"{total:,} images in {split}" for split, total in totals.items())
    return [f"labels of whole images, input {size_text(examination.image_size)}; {read}", "", *_table(rows), ""]


def _legend(examination: Examination) -> str:
    worst = min(examination.recall_per_class.items(), key=lambda item: item[1], default=None)
    least = f", least for {worst[0]} ({worst[1]:.1%})" if worst and worst[1] < 1 else ""
    return (
        "sizes: px of the network input, over all splits; 'side < 8': shorter side below a cell of the stride-8 grid;\n"
        f"       '< {SMALLEST_SIDE:g}: lost': shorter side below {SMALLEST_SIDE:g} px, too small to learn\n"
        f"anchors: best possible recall {examination.recall:.1%} of the training boxes{least}"
    )


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """A line per finding, worst first, after a line that counts them."""
    if not findings:
        return ["no complaints"]
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning", "note")}
    lines = [", ".join(f"{n} {level}{'s' * (n != 1)}" for level, n in counts.items() if n)]
    lines += [f"  {finding.level:<8}{finding.topic}: {finding.message}" for finding in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"  and {len(findings) - SHOWN} more, in the JSON report")
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of aligned columns under the first row: the first column to the left, numbers to the right."""
    header, *lines = rows
    return [f"  {line}" for line in to_text(header, lines, [False] + [True] * (len(header) - 1)).splitlines()]


def print_report(examination: Examination, folder: Path, as_json: bool) -> None:
    """To standard output."""
    if as_json:
        print(json.dumps(as_dict(examination), indent=1))
        return
    print(shown_lines(as_text(examination)))
    print(f"\nwritten: {folder / 'report.png'}, {folder / 'report.json'}")


def print_problems(problems: Sequence[str], as_json: bool) -> int:
    """The problems for which labels cannot be read, a line each; returns the exit code, 2."""
    lines = [" ".join(problem.split()) for problem in problems]
    if as_json:
        findings = [_finding(Finding("error", "unreadable", line)) for line in lines]
        print(json.dumps({"findings": findings, "exit_code": 2}, indent=1))
        return 2
    for line in lines[:SHOWN]:
        print(f"lightdet: {shown(line)}", file=sys.stderr)
    if len(lines) > SHOWN:
        print(f"lightdet: and {len(lines) - SHOWN} more problems", file=sys.stderr)
    return 2


def write_report(examination: Examination, folder: Path, title: str) -> Path:
    """report.json, and report.png if it can be drawn, each replaced as a whole; returns the folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "report.json", json.dumps(as_dict(examination), indent=1).encode())
    attempt("report.png", lambda: _replace(folder / "report.png", draw_report(examination, title)))
    return folder


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
