"""Several ranks train one run: equal weights, the numbers of the whole set, and no process that stays behind."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from ddp_probe import NOTES, TROUBLE
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightdet.config.conf_folder import conf_folder
from lightdet.config.trust import composed_here
from lightdet.core.errors import LightdetError
from lightdet.data.sampler import EpochBatchSampler
from lightdet.distributed.cluster import Cluster
from lightdet.distributed.ranks import rank_count, world_of_rank_zero
from lightdet.distributed.world import PARENT, World, first_host, world_from
from lightdet.engine.announce import batch_text
from lightdet.engine.evaluate import evaluate
from lightdet.engine.load import load_run
from lightdet.engine.train import train
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder
from lightdet.task.trainer import shares_batchnorm

CPU = torch.device("cpu")
EPOCHS, STEPS = 2, 3  # optimizer steps of an epoch
SETTINGS = (
    "data.reader.train_images=14",  # 3 batches of 4, and 2 images left out
    "data.reader.val_images=7",  # 4 for rank 0, 3 for rank 1
    "data.reader.size=96",
    "data.batch_size=4",
    "image_size=64",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.checkpoint_seconds=0.0",  # after every step
    "trainer.ema_ramp_steps=1",
    "trainer.precision=32-true",
    "trainer.channels_last=false",
    "trainer.device=cpu",
    "trainer.progress=none",
    "trainer.devices=2",
    "logger=none",
)
ALONE = "from lightdet.engine.train import train; from lightdet.runs.folder import RunFolder; import sys; "
ALONE += "from omegaconf import OmegaConf; train(OmegaConf.load(sys.argv[1]), RunFolder(sys.argv[2]))"


def configured(*words: str) -> DictConfig:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("train", overrides=[*SETTINGS, *words])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DictConfig]:
    cfg = configured(f"data.reader.cache={tmp_path_factory.mktemp('cache')}")
    cfg.model = {"_target_": "ddp_probe.Guess", "num_classes": "${num_classes}"}
    cfg.optimizer = {"_target_": "ddp_probe.Probe", "_partial_": True, "lr": 0.02}
    with composed_here(["ddp_probe"]):  # the ranks are processes of a command that names the probe
        yield cfg


class Forked:
    """In the place of `subprocess`: ranks come from a process that has imported torch, which then is their parent."""

    DEVNULL = subprocess.DEVNULL

    @staticmethod
    def Popen(command: list[str], env: dict[str, str], **streams: Any) -> warm.Popen:  # noqa: N802  # subprocess's name
        return warm.Popen(command, env={name: value for name, value in env.items() if name != PARENT}, **streams)


def run_in(folder: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch, trouble: str = "") -> dict[str, Any]:
    notes = folder / f"notes{len(list(folder.glob('notes*')))}"
    notes.mkdir(parents=True)
    monkeypatch.setenv(NOTES, str(notes))
    monkeypatch.setattr("lightdet.distributed.ranks.subprocess", Forked)
    if trouble:
        monkeypatch.setenv(TROUBLE, trouble)
    else:
        monkeypatch.delenv(TROUBLE, raising=False)
    return train(config, RunFolder(folder))


def notes_of(folder: Path, number: int, rank: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"notes{number}" / f"steps{rank}.jsonl").read_text().splitlines()]


def pid_of(notes: Path, rank: int) -> int:
    return int((notes / f"pid{rank}").read_text())


def lives(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(reached: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, config: DictConfig) -> tuple[Path, dict[str, Any], int]:
    """A run of two ranks that nobody disturbs, its results, and the threads of this process before and after it."""
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(threads := 2)
    with pytest.MonkeyPatch.context() as monkeypatch:
        results = run_in(folder, config, monkeypatch)
    assert torch.get_num_threads() == threads and not torch.distributed.is_initialized()
    torch.set_num_threads(1)
    return folder, results, threads


def test_both_ranks_step_alike(whole: tuple[Path, dict[str, Any], int]) -> None:
    folder, _, threads = whole
    first, second = (notes_of(folder, 0, rank) for rank in (0, 1))
    assert len(first) == EPOCHS * STEPS and first == second
    assert len({note["weights"] for note in first}) == EPOCHS * STEPS
    assert first[0]["threads"] == max(1, threads // 2)
    assert pid_of(folder / "notes0", 0) == os.getpid() and not lives(pid_of(folder / "notes0", 1))


def test_the_buffers_of_every_rank_begin_as_those_of_rank_0(whole: tuple[Path, dict[str, Any], int]) -> None:
    """It alone may have fetched pretrained ones; DDP sends the weights, and these not."""
    state = torch.load(whole[0] / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert state["model.network.1.running_mean"].abs().max() < 10


def test_the_validation_of_two_ranks_is_that_of_one_process(whole: tuple[Path, dict[str, Any], int], config) -> None:
    folder, results, _ = whole
    with open(RunFolder(folder).metrics_csv, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(STEPS), str(2 * STEPS)]
    data = instantiate(config.data, _convert_="all")
    data.setup()
    alone = evaluate(load_run(folder, "last").model, data.loader("val"), data.classes, [], None)
    assert alone["images"] == 7 and alone["map50_95"] > 0, "nothing would be compared"
    for name in ("map50", "map75", "map50_95"):
        assert rows[-1][f"val/{name}"] == f"{float(torch.tensor(alone[name])):.7g}"
    assert results["metrics"]["images"] == 7
    assert results["metrics"]["map50_95"] == pytest.approx(max(float(row["val/map50_95"]) for row in rows), abs=1e-6)


def test_killed_and_resumed_ends_bit_for_bit_equal(
    whole: tuple[Path, dict[str, Any], int], config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 is killed in the first epoch and takes rank 1 with it, then rank 1 in the second; then all goes well."""
    folder = tmp_path / "run"
    (folder / "notes0").mkdir(parents=True)
    OmegaConf.save(config, tmp_path / "config.yaml")
    environment = {**os.environ, NOTES: str(folder / "notes0"), TROUBLE: "0 2 killed"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", ALONE, str(tmp_path / "config.yaml"), str(folder)]
    ended = subprocess.run(command, env=environment, timeout=300, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    wait_for(lambda: not lives(pid_of(folder / "notes0", 1)), seconds=5)

    with pytest.raises(LightdetError, match=r"rank 1 of this training was ended by SIGKILL"):
        run_in(folder, config, monkeypatch, trouble="1 3 killed")  # it goes on behind the first step
    assert not lives(pid_of(folder / "notes1", 1)) and not torch.distributed.is_initialized()

    results = run_in(folder, config, monkeypatch)
    undisturbed, expected, _ = whole
    steps = notes_of(folder, 0, 0)[:1] + notes_of(folder, 1, 0)[:2] + notes_of(folder, 2, 1)
    assert steps == notes_of(undisturbed, 0, 0)
    ours, theirs = (torch.load(path / "checkpoints/last.ckpt", weights_only=True) for path in (folder, undisturbed))
    for part in ("state_dict", "ema"):
        ours[part], theirs[part] = (state[part].get("weights", state[part]) for state in (ours, theirs))
        assert all(torch.equal(value, theirs[part][name]) for name, value in ours[part].items()), part
    assert (folder / "metrics.csv").read_text() == (undisturbed / "metrics.csv").read_text()
    assert results["metrics"] == expected["metrics"]


def test_a_rank_that_raises_ends_the_run_with_its_reason(
    whole: tuple[Path, dict[str, Any], int], config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LightdetError, match=r"^rank 1 of this training: the probe broke$") as caught:
        run_in(tmp_path / "run", config, monkeypatch, trouble="1 1 told")
    assert "ddp_probe.py" in str(caught.value.__cause__)
    assert not lives(pid_of(tmp_path / "run/notes0", 1))
    one = config.copy()
    one.trainer.devices = 1
    monkeypatch.setenv("DDP_PROBE_TROUBLE", "- 0 -")
    with pytest.raises(LightdetError, match="with 1 ranks a training that was begun with 2"):
        train(one, RunFolder(whole[0]))


def dealt(rank: int, ranks: int, count: int = 22, even: bool = True, shuffle: bool = True, start: int = 0) -> list[Any]:
    sampler = EpochBatchSampler(count, 6, 3, shuffle, drop_last=even, rank=rank, ranks=ranks, even=even)
    sampler.begin(4, start)
    batches = [[index for _, index in batch] for batch in sampler]
    assert len(batches) == len(sampler) - start
    return batches


def test_ranks_share_the_batches_of_one_process() -> None:
    whole = dealt(0, 1)
    parts = [dealt(rank, 3) for rank in range(3)]
    assert [len(batch) for part in parts for batch in part] == [2] * 9
    for together, *shares in zip(whole, *parts, strict=True):
        assert sorted(index for share in shares for index in share) == sorted(together)
    assert dealt(1, 3, start=2) == parts[1][2:]


@pytest.mark.parametrize("count", [3, 4, 6, 7, 13, 22])
def test_validation_deals_every_image_once(count: int) -> None:
    parts = [[index for batch in dealt(rank, 3, count, False, False) for index in batch] for rank in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(count))
    assert [part[k] for k in range(len(parts[0])) for part in parts if k < len(part)] == list(range(count))


@pytest.mark.parametrize(("count", "each"), [(3, 1), (5, 1), (6, 2), (8, 2)])
def test_a_training_smaller_than_a_batch_gives_all_ranks_as_many(count: int, each: int) -> None:
    parts = [dealt(rank, 3, count) for rank in range(3)]
    assert [[len(batch) for batch in part] for part in parts] == [[each]] * 3
    assert len(np.unique(np.concatenate(parts))) == 3 * each


def test_the_number_of_ranks_is_part_of_what_is_learnt() -> None:
    def identity(*words: str) -> str:
        return fingerprint(configured(*words))

    assert identity("trainer.nodes=2", "trainer.devices=1") == identity()  # two ranks, wherever they are
    assert identity("trainer.devices=1") != identity()
    assert identity("trainer.sync_batchnorm=false") != identity()
    assert identity("trainer.sync_batchnorm=false", "trainer.devices=1") == identity("trainer.devices=1")


def test_a_place_from_outside() -> None:
    assert world_from({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "7"}) is None  # a batch script
    step = {
        "SLURM_PROCID": "5",
        "SLURM_STEP_NUM_TASKS": "8",
        "SLURM_LOCALID": "1",
        "SLURM_NODEID": "1",
        "SLURM_STEP_NODELIST": "gpu[07-08]",
        "SLURM_JOB_ID": "4321",
        "SLURM_STEP_ID": "2",
    }
    place = world_from(step)
    assert place == World(5, 8, 1, 1, "gpu07", 15000 + (4321 * 31 + 2) % 20000)
    cluster = Cluster(place)
    assert (cluster.global_rank(), cluster.local_rank(), cluster.node_rank(), cluster.world_size()) == (5, 1, 1, 8)
    given = World(3, 4, 1, 1, "host", 1234)
    assert world_from(given.variables()) == given
    names = ["gpu[03-05,9],cpu1", "gpu[3,9]", "a,b", "n[1-2]-ib", "one"]
    assert [first_host(name) for name in names] == ["gpu03", "gpu3", "a", "n1-ib", "one"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("trainer.devices=0",), "trainer.devices=0"),
        (("trainer.devices=auto",), "trainer.devices=auto"),
        (("trainer.nodes=2",), "srun --nodes=2 --ntasks-per-node=2"),
        (("trainer.sync_batchnorm=true",), "trainer.sync_batchnorm=true"),
        (("trainer.sync_batchnorm=maybe",), "trainer.sync_batchnorm=maybe"),
        (("data.batch_size=5",), "give a multiple of 2"),
        (("data.reader.val_images=1",), "1 images in 'val' for 2 ranks"),
    ],
)
def test_a_mistake_is_told_before_a_process_starts(
    words: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    with pytest.raises(LightdetError) as caught:
        train(configured(f"data.reader.cache={tmp_path}", *words), RunFolder(tmp_path / "run"))
    assert named in str(caught.value)


def test_the_start_line_tells_the_batch() -> None:
    assert batch_text(configured("trainer.devices=1")) == "batch 4"
    assert batch_text(configured("trainer.accumulate=2")) == "batch 8 (2 batches x 2 ranks x 2)"


def test_several_devices_of_a_kind_that_cannot() -> None:
    settings = configured("trainer.device=mps").trainer
    with pytest.raises(LightdetError, match="not mps"):
        rank_count(settings, torch.device("mps"))
    assert world_of_rank_zero(settings, 2) == World(ranks=2)
    assert not shares_batchnorm(settings, CPU) and shares_batchnorm(settings, torch.device("cuda"))
