"""How often the promise of `lightdet threshold` holds: one half of the images chooses, the other half counts.

python experiments/threshold/resplits.py FOLDER --escape 0.05    FOLDER: of a run or an evaluation, with its scores
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.image_labels import GOOD
from lightdet.metric.image_scores import ImageScores, read_scores, scores_file
from lightdet.metric.promised import Asked, choose, rejected

OVERLAP = 0.5


def part(scores: ImageScores, rows: np.ndarray) -> ImageScores:
    """The images of `rows`, without what only promises about boxes need."""
    none = np.zeros(0)
    return ImageScores(
        tuple(scores.image_ids[row] for row in rows),
        scores.classes,
        scores.good,
        scores.overall[rows],
        scores.by_class[rows],
        scores.present[rows],
        scores.defective[rows],
        none,
        none.astype(int),
        scores.boxes[rows],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--escape", type=float, default=0.05)
    parser.add_argument("--splits", type=int, default=200)
    options = parser.parse_args()
    file = scores_file(options.folder)
    if file is None:
        raise LightdetError(f"{options.folder}: no detections.json or probabilities.json")
    scores = read_scores(file, GOOD, OVERLAP)
    bad = int(scores.defective.sum())
    halves = f"{options.splits} random halves, {options.escape:.0%} may pass"
    print(f"{len(scores.image_ids)} images, {bad} defective; {halves}")
    for name, asked in {
        "default": Asked(options.escape),
        "--lot": Asked(options.escape),
        "--expected": Asked(options.escape, expected=True),
    }.items():
        held, shares, overkill, none = 0, [], [], 0
        for seed in range(options.splits):
            order = np.random.default_rng(seed).permutation(len(scores.image_ids))
            one, other = (part(scores, half) for half in np.array_split(order, 2))
            lot = int(other.defective.sum())
            chosen = choose(one, replace(asked, lot=lot) if name == "--lot" else asked)
            if chosen.missing:
                none += 1
                continue
            away = rejected(other, chosen)
            shares.append(float((other.defective & ~away).sum()) / lot)
            held += shares[-1] <= options.escape
            if not other.defective.all():
                overkill.append(float((~other.defective & away).sum() / (~other.defective).sum()))
        told = f"; {none} halves gave no threshold" if none else ""
        mean = f"mean share {np.mean(shares):.4f}" if shares else "no share"
        good = f", overkill {np.mean(overkill):.3f}" if overkill else ""
        print(f"{name:11} within the bound in {held} of {len(shares)}, {mean}{good}{told}")


if __name__ == "__main__":
    main()
