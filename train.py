"""Train a detector, or with `-m` sweep over many: `python train.py -m attention=cbam,none head=76,38,19`.

Compose: Hydra reads conf/train.yaml and the overrides given here. Seed: the run's one seed decides weights, order and
augmentation. Build: the data and the detector are made from their options. Fit: Lightning trains, from the last
checkpoint where there is one. Report: numbers, curves and pictures land in the run's folder, and in W&B.
"""

import sys

from lightdet.cli.main import program

if __name__ == "__main__":
    sys.exit(program("train"))
