"""A run folder: names that any file system takes, a fingerprint of what is learnt, files that are whole or absent."""

import multiprocessing
import os
import re
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from lightdet.config.names import slug
from lightdet.config.tree import unused
from lightdet.core.errors import LightdetError
from lightdet.core.files import locked, write_json
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder

CONFIG = """
seed: 0
study: null
runs_dir: runs
image_size: 224
head: 76
width: 0.25
model: {network: {attention: {_target_: a.Cbam}, head: "${head}", width: "${width}"}}
data: {batch_size: 16, num_workers: 2, cache_megabytes: 512, seed: "${seed}",
  reader: {root: "${oc.env:SOME_ROOT,x}/neu"}}
augment: {flip: 0.5}
optimizer: {lr: 0.002}
schedule: {warmup_epochs: 3}
trainer: {max_epochs: 40, device: auto, progress: auto, checkpoint_seconds: 60}
logger: {wandb: {mode: auto}}
debug: {}
"""


def config(*changes: str) -> DictConfig:
    cfg = OmegaConf.merge(OmegaConf.create(CONFIG), OmegaConf.from_dotlist(list(changes)))
    assert isinstance(cfg, DictConfig)
    return cfg


def test_slug_names_the_choices_whatever_their_order() -> None:
    assert slug(["head=76", "attention=cbam"]) == slug(["attention=cbam", "head=76"]) == "attention-cbam__head-76"
    assert slug(["loss/box=ciou", "+optimizer.lr=0.01"]) == "loss.box-ciou__optimizer.lr-0.01"


def test_slug_leaves_out_what_does_not_change_the_training() -> None:
    silent = [
        "seed=3",
        "study=x",
        "logger=csv",
        "logger.wandb.mode=offline",
        "data.num_workers=4",
        "trainer.device=cpu",
    ]
    assert slug([*silent, "attention=se"]) == "attention-se"
    assert slug(silent) == slug([]) == "default"


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.reader.root=/a b/c,d=e"],
        ["x='quoted, with = and /'"],
        ["~model.network.attention"],
        ["name=" + "long" * 100],
        ["head=[76,38]"],
        ["word=größe"],
        ["k=../../etc"],
    ],
)
def test_slug_is_safe_as_a_folder_and_in_an_override(overrides: list[str]) -> None:
    name = slug(overrides)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)
    assert 0 < len(name) <= 120


def test_slug_keeps_apart_what_the_characters_do_not() -> None:
    names = {slug([f"data.reader.root={root}"]) for root in ("/a/b", "/a-b", "a b", "a,b")}
    long = {slug([f"x={'y' * 200}{end}"]) for end in "ab"}
    assert (len(names), len(long)) == (4, 2)


WHERE_AND_HOW = """study=s runs_dir=/elsewhere logger.wandb.mode=offline data.num_workers=0 data.cache_megabytes=1
trainer.device=cuda trainer.progress=none trainer.checkpoint_seconds=5 data.bits=null"""
WHAT = """optimizer.lr=0.001 seed=1 image_size=256 augment.flip=0 trainer.max_epochs=41 width=0.5 head=38
data.batch_size=8 data.bits=12 data.reader.root=other schedule.warmup_epochs=0 model.network.extra=1"""


@pytest.mark.parametrize("change", WHERE_AND_HOW.split())
def test_fingerprint_is_blind_to_where_and_how(change: str) -> None:
    assert fingerprint(config(change)) == fingerprint(config())


@pytest.mark.parametrize("change", WHAT.split())
def test_fingerprint_changes_with_what_is_learnt(change: str) -> None:
    assert fingerprint(config(change)) != fingerprint(config())


def test_seeds_share_the_hash_of_the_design() -> None:
    first, second = fingerprint(config()), fingerprint(config("seed=1"))
    assert first.removesuffix("-s0") == second.removesuffix("-s1")


def test_a_root_from_the_environment_counts_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(config())
    monkeypatch.setenv("SOME_ROOT", "/moved/here")
    assert fingerprint(config()) == before


def test_a_value_that_nothing_takes_up_is_known() -> None:
    assert unused(config()) == ["study", "runs_dir"]
    assert "head" in unused(config("model.network.head=none"))


def test_without_attention_the_grid_does_not_count() -> None:
    none = ("model.network.head=none", "model.network.attention=null")
    assert fingerprint(config("head=76", *none)) == fingerprint(config("head=38", *none))


def test_a_missing_value_is_named() -> None:
    cfg = config()
    cfg.data.reader.root = "???"
    with pytest.raises(LightdetError, match=r"data\.reader\.root"):
        fingerprint(cfg)


def test_done_means_done_with_this_fingerprint_and_results(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "s0")
    assert not folder.is_done("f")
    folder.write_status("running", fingerprint="f")
    folder.write_results({"map50": np.float32(0.5), "nothing": float("nan"), "curve": np.ones(2)})
    assert not folder.is_done("f")
    folder.write_status("failed", reason="no memory", traceback="t")
    assert folder.read_status()["reason"] == "no memory"
    folder.write_status("done")
    assert folder.is_done("f") and not folder.is_done("g")
    assert "reason" not in folder.read_status()
    assert folder.read_results() == {"map50": 0.5, "nothing": None, "curve": [1.0, 1.0]}


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    folder.write_results({"map50": 0.5})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        folder.write_results({"map50": 0.6})
    assert folder.read_results() == {"map50": 0.5}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.status_path.write_text("{half")
    status = folder.read_status()
    assert status["state"] == "unreadable" and "status.json" in status["reason"]


def _hold(path: Path, ready: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event") -> None:
    with locked(path) as holder:
        assert holder is None
        ready.set()
        done.wait(20)


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.holder() is None
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(folder.lock_path, ready, done))
    other.start()
    assert ready.wait(30)
    assert folder.holder() == other.pid
    with folder.lock() as holder:
        assert holder == other.pid
    other.kill()
    other.join()
    assert folder.holder() is None
    with folder.lock() as holder:
        assert holder is None
        assert folder.holder() == os.getpid()


def test_equal_values_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        write_json(tmp_path / name, {"x": (1, 2.5), "path": tmp_path.name})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_seeds_of_one_row_lie_in_one_folder_however_long_its_name() -> None:
    words = [f"data.reader.some_long_key_{number}=some_long_value" for number in range(6)]
    names = {slug([*words, f"seed={seed}", "study.name=s"]) for seed in range(3)}
    assert len(names) == 1 and len(names.pop()) == 120
