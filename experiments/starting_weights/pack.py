"""Stores a trained network as starting weights of the package.

    python experiments/starting_weights/pack.py RUN light

The averaged weights of RUN become `lightdet/weights/light.safetensors`: convolutions in float16, statistics of
BatchNorm in float32, without the layers whose shape depends on the classes. `weights.json` gets the hash, the backbone
that they fit, and what they were trained on.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save

import lightdet
from lightdet.config.saved import read_config
from lightdet.engine.load import load_run
from lightdet.runs.builtin_weights import FOLDER, INDEX
from lightdet.runs.folder import RunFolder

DECIDES = ("_target_", "channels", "counts")  # the shapes of a backbone's layers


def main() -> None:
    run, name = Path(sys.argv[1]), sys.argv[2]
    weights = load_run(run).model.state_dict()
    other = lightdet.build(f"model={name}", classes=["one", "two"]).state_dict()
    unknown = [key for key in weights if key not in other]
    if unknown:
        raise SystemExit(f"{run} is no model={name}: {unknown[0]}")
    kept = {
        key: value.half() if value.is_floating_point() and "running_" not in key else value
        for key, value in weights.items()
        if value.shape == other[key].shape and not key.endswith("num_batches_tracked")
    }
    content = save({key: value.contiguous() for key, value in kept.items()})
    file = FOLDER / f"{name}.safetensors"
    file.write_bytes(content)
    config = read_config(RunFolder(run).config_path)
    index_file = FOLDER / INDEX
    index = json.loads(index_file.read_text()) if index_file.exists() else {}
    index[file.name] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "backbone": {key: _plain(config.model.network.backbone[key]) for key in DECIDES},
        "parameters": sum(value.numel() for key, value in kept.items() if "running_" not in key),
        "trained_on": "10,000 drawn surfaces and 2,520 windows of DeepPCB's training images (MIT)",
        "image_size": config.image_size,
        "epochs": config.trainer.max_epochs,
        "licence": "Apache-2.0",
    }
    index_file.write_text(json.dumps(dict(sorted(index.items())), indent=2) + "\n")
    print(f"{file}: {len(content):,} bytes, {len(kept)} of {len(weights)} tensors")


def _plain(value: object) -> object:
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else value


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
