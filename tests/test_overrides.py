"""A slip on the command line is told in one line that names it and what was meant; exit code 2, and nothing begins."""

import shlex
import sys
import traceback
from pathlib import Path

import pytest
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

import lightdet.cli.main as cli
from lightdet.config.compose import compose_config
from lightdet.config.judge import require_mappings, require_read
from lightdet.config.refusals import reason
from lightdet.core.errors import LightdetError, one_line
from lightdet.runs.fingerprint import fingerprint

SLIPS = {
    "+recipe=light": "recipe: chosen twice; write recipe=light without +, or in a file `override /recipe: light`",
    "weights=nowhere --cfg job": "weights=nowhere: no run here",
    "modle=light": "modle: there is no such setting; did you mean model?",
    "batch_size=4": "batch_size: there is no such setting; did you mean data.batch_size?",
    "epochs=4": "epochs: there is no such setting; did you mean trainer.max_epochs?",
    "trainer.max_epoch=4": "trainer.max_epoch: there is no such setting; did you mean trainer.max_epochs?",
    "loss/bx=ciou": "loss/bx: there is no such setting; did you mean loss/box?",
    "data.reader.zzz=1": "data.reader has train_images, val_images, size, seed, cache",
    "xyzzy=1": "`lightdet train --cfg job` prints every setting",
    "model=lihgt": "model=lihgt: there is no such option; choose one of can, cnn_rf, cs_resnet, ",
    "trainer.max_epochs=[": "trainer.max_epochs=[: not understood as key=value",
    "data.reader.classes=[Öl,Kratzer]": """as 'data.reader.classes=["Öl","Kratzer"]'""",
    "data.reader.classes=[打痕,划痕]": """as 'data.reader.classes=["打痕","划痕"]'""",
    "=3": "=3: not understood as key=value; the key is missing",
    "optimizer=3": "optimizer=3: there is no such option; choose one of adamw, muon, sgd",
    "optimizer=null": "optimizer=null: there is no such option; choose one of adamw, muon, sgd",
    "attention=cbam,none": "attention=cbam,none: several values; for a training of each, add -m",
    "attention=[cbam,none]": "attention=[cbam,none]: this group takes one option; for a training of each, attention=a",
    "-m logger=wandb,tensorboard": "logger=wandb,tensorboard: it changes no training, so there is nothing to sweep; se",
    "-m study=a,b": "study.name=a,b: it changes no training",
    "launcher=slurm": "launcher=slurm: only a sweep reads it; add -m",
    "launcher.threads=1": "launcher.threads=1: only a sweep reads it; add -m",
    "study.on_error=stop": "study.on_error=stop: only a sweep reads it; add -m",
    "-m optimizer=adamw,sgd --cfg job": "Only one of --multirun, --cfg",
    "data.reader=voc": "data.reader=voc: data.reader is not one value, but several: data.reader.train_images, ",
    "model.network.backbone=darknet": "model.network.backbone is not one value, but several: ",
    "+modle=light": "+modle=light: nothing reads it; did you mean model?",
    "-m +modle=light": "+modle=light: nothing reads it; did you mean model?",
    "-m optimizer=adamw,3": "optimizer=adamw,3: there is no such option; choose one of adamw, muon, sgd",
    "trainer.accelerator=gpu": "trainer.accelerator: there is no such setting; the device is trainer.device=auto, cpu",
    "trainer.gpus=2": "trainer.gpus: there is no such setting; several GPUs are trainer.device=cuda trainer.devices=2",
    "+trainer.strategy=ddp": "+trainer.strategy=ddp: nothing reads it; several devices train one batch together with",
    "trainer.devices=auto": "trainer.devices=auto: give a whole number, 1 or more",
    "accelerator=gpu": "accelerator: there is no such setting; the device is trainer.device=auto, cpu, cuda or mps",
    "gpus=2": "gpus: there is no such setting; several GPUs are trainer.device=cuda trainer.devices=2",
    "device=0": "device: there is no such setting; the device is trainer.device=auto, cpu, cuda or mps",
    "batch=16": "batch: there is no such setting; did you mean data.batch_size?",
    "workers=2": "workers: there is no such setting; did you mean data.num_workers?",
    "imgsz=640": "imgsz: there is no such setting; did you mean image_size?",
    "img=640": "img: there is no such setting; did you mean image_size?",
    "lr=0.01": "lr: there is no such setting; did you mean optimizer.lr?",
    "lr0=0.01": "lr0: there is no such setting; did you mean optimizer.lr?",
    "iou=0.5": "iou: there is no such setting; did you mean model.nms_iou?",
    "conf=0.5": "conf: there is no such setting; did you mean model.score_threshold?",
    "ckpt_path=last.ckpt": "ckpt_path: there is no such setting; the same command continues a run; weights=RUN starts",
    "resume=True": "resume: there is no such setting; the same command continues a run from its last checkpoint",
    "pretrained=true": "pretrained: there is no such setting; weights=RUN or weights=FILE starts from trained weights",
    "callbacks=default": "callbacks: there is no such setting; Lightning callbacks are options of the group callback",
    "hparams_search=mnist": "hparams_search: there is no such setting; `lightdet search recipe` searches for the best",
    "optimized_metric=val/acc": "optimized_metric: there is no such setting; `lightdet search` takes its objectives",
    "task_name=eval": "task_name: there is no such setting; name=NAME names a run",
    "project=steel": "project: there is no such setting; study=NAME names the folder of a sweep",
    "tags=[dev]": "tags: there is no such setting; name=NAME names a run",
    "extras=default": "extras: there is no such setting; runs print nothing but their progress",
    "test=false": "test: there is no such setting; where a dataset has a test split",
    "cfg=yolov5s.yaml": "cfg: there is no such setting; did you mean model?",
    "model=yolov8n": "model=yolov8n: there is no such option; choose one of can, cnn_rf, cs_resnet, ",
    "model=yolo11n.pt": "model=yolo11n.pt: there is no such option; choose one of can, cnn_rf, cs_resnet, ",
    "data=coco8.yaml": "own images: data=auto, yolo, coco or voc with data.reader.root=FOLDER",
    "data=/a/folder": "own images: data=auto, yolo, coco or voc with data.reader.root=FOLDER",
    "trainer=ddp": "trainer=ddp: there is no such option; choose one of default; devices: trainer.device=cuda",
    "trainer=gpu": "trainer=gpu: there is no such option; choose one of default; devices: trainer.device=cuda",
    "logger=many_loggers": "; several at once: logger=[csv,tensorboard]",
    "debug=default": "debug=default: there is no such option; choose one of limit, none, one_step, overfit",
    "--epochs 5": "--epochs: no such flag; settings are key=value: did you mean trainer.max_epochs?",
    "--batch-size 16": "--batch-size: no such flag; settings are key=value: did you mean data.batch_size?",
    "--lr=0.01": "--lr: no such flag; settings are key=value: did you mean optimizer.lr?",
    "--weights yolov5s.pt": "--weights: no such flag; settings are key=value: weights=...",
    "--resume": "--resume: no such flag; settings are key=value: the same command continues a run",
    "hydra.run.dir=here": "hydra.run.dir=here: Hydra only composes; runs_dir, study and launcher decide where",
    "hydra/launcher=joblib -m": "hydra/launcher=joblib: Hydra only composes; runs_dir, study and launcher decide",
    "head=80": "head=80: a grid is one of ",
    "trainer.device=0": "trainer.device=0: one of auto, cpu, cuda, mps",
    "trainer.monitor=map50": "trainer.monitor=map50: nothing is logged by this name; one of primary, train/loss",
    "data.reader.train_images=0": "data.reader.train_images=0: give a whole number, 1 or more",
    "data.bits=13": "data.bits=13: one of null, 8, 10, 12, 14, 16",
    "channels=0": "channels=0: one of 3, 1, 6, 2",
    "channels=2": "channels=2: half of them are those of a reference image, and Synthetic reads none; set channels=1",
    "-m channels=6,3": "channels=6: half of them are those of a reference image",
    "data.group='('": "data.group=(: not a regular expression (missing ), unterminated subpattern at position 0)",
    "trainer.max_epochs=0 --cfg job": "trainer.max_epochs=0: give a whole number, 1 or more",
    "attention=none head=38 --cfg job": "head=38 changes nothing beside attention=none",
    "+search=recipe": "+search=recipe: nothing reads it",
    "-m +search=recipe,speed": "+search=recipe: nothing reads it",
    "+trainer.max_epoch=4": "+trainer.max_epoch=4: nothing reads it; did you mean trainer.max_epochs?",
}


@pytest.mark.parametrize("word", SLIPS)
def test_a_slip_is_one_line(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *word.split()]) == cli.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lightdet: ") and SLIPS[word] in line
    assert not any(tmp_path.rglob("request.yaml"))


@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_an_added_group_that_nothing_reads_is_refused(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "options" / "extra").mkdir(parents=True)
    (tmp_path / "options" / "extra" / "mine.yaml").write_text("_target_: mine.Mine\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *flags, "--config-dir", "options", "+extra=mine"]) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("lightdet: +extra=mine: nothing reads it; ")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flags", [[], ["-m"], ["--cfg", "job"]])
def test_a_dataset_that_is_not_there_is_refused_before_a_run_is_registered(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *flags, "data=yolo", "data.reader.root=nowhere"]) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("lightdet: data.reader.root=nowhere: no such folder; ")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("path", ["/data/Prüfung", "/data/line (2)", "/data/a=b", "/data/camera's"])
def test_a_path_with_signs_is_understood_as_it_is_advised(path: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["train", f"runs_dir={path}"]) == cli.BAD_INPUT
    (advised,) = shlex.split(capsys.readouterr().err.strip().rpartition(" as ")[2])
    assert compose_config([advised]).runs_dir == path


def test_an_argument_that_a_constructor_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "+data.reader.zzz=1"]) == cli.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "unexpected keyword argument 'zzz'" in line and "data.reader" in line


BROKEN_MODULES = {
    None: "No module named 'mine_broken'",
    "def __init__(:": "SyntaxError",
    "import no_such_package": "No module named 'no_such_package'",
    "class Other: ...": "No module named 'mine_broken.Mine'",
}


@pytest.mark.parametrize("source", BROKEN_MODULES)
def test_why_a_module_of_ones_own_cannot_be_loaded(
    source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source is not None:
        (tmp_path / "mine_broken.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_broken", raising=False)
    with pytest.raises(HydraException) as raised:
        instantiate({"attention": {"_target_": "mine_broken.Mine", "_partial_": True}})
    monkeypatch.delitem(sys.modules, "mine_broken", raising=False)
    for told in (reason(raised.value), one_line(raised.value)):
        assert told.startswith("attention: mine_broken.Mine cannot be loaded: ") and BROKEN_MODULES[source] in told


def test_a_room_that_the_model_lacks(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["train", "model=ssd", "attention=cbam"]) == cli.BAD_INPUT
    assert capsys.readouterr().err == "lightdet: attention: none of the chosen options uses this config group\n"


def test_a_mapping_may_be_taken_out() -> None:
    words = ["model.network.attention=null"]
    require_mappings(compose_config(words), words)


def test_added_values_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "augment").mkdir()
    (tmp_path / "augment" / "mine.yaml").write_text("defaults: [light]\nmin_side: ${smallest}\n")
    for words in (["+smallest=3", "augment=mine"], ["+optimizer.eps=1e-7"], ["+logger.wandb.notes=hi"]):
        require_read(compose_config(words, tmp_path), words)
    with pytest.raises(LightdetError, match="smallest=3: nothing reads it"):
        require_read(compose_config(["+smallest=3"]), ["+smallest=3"])


def test_a_fault_in_code_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty_reader.py").write_text("def read(**settings):\n    return settings['nothing']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InstantiationException) as raised:
        cli.main(["train", "data.reader._target_=faulty_reader.read"])
    shown = "".join(traceback.format_exception(raised.value))
    assert "faulty_reader.py" in shown and "KeyError: 'nothing'" in shown and "hydra/main.py" not in shown


def test_a_fault_in_a_module_of_ones_own_keeps_its_traceback_under_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faulty_attention.py").write_text("def gate(channels, reduction):\n    return channels['nothing']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["model.network.attention._target_=faulty_attention.gate", "image_size=64"]
    with pytest.raises(InstantiationException) as raised:
        cli.main(["benchmark", *words, "--backends", "eager", "--rounds", "1"])
    assert "faulty_attention.py" in "".join(traceback.format_exception(raised.value))


def test_a_folder_of_options_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "mine, (it's) a=b"
    (folder / "augment").mkdir(parents=True)
    (folder / "augment" / "mine.yaml").write_text("defaults: [light]\nmin_side: 7\n")
    assert compose_config(["augment=mine"], folder).data.augment is not None
    assert "min_side: 7" in OmegaConf.to_yaml(compose_config(["augment=mine"], folder))


@pytest.mark.parametrize("key", ["limit_train_batches", "limit_val_batches", "overfit_batches"])
def test_one_batch_and_all_of_them_are_two_trainings(key: str) -> None:
    prints = {fingerprint(compose_config([f"trainer.{key}={value}"])) for value in ("1", "1.0", "0.25")}
    assert len(prints) == 3
    assert fingerprint(compose_config(["trainer.ema_ramp_steps=300.0"])) == fingerprint(compose_config([]))
