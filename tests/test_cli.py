"""What a person meets at the prompt: help at once, one line for a mistake, and the exit code that goes with it."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import lightdet.cli.main as cli
import lightdet.cli.report
from lightdet.cli.evaluate import split_settings
from lightdet.config.compose import compose_config
from lightdet.config.judge import require_values
from lightdet.config.refusals import reason
from lightdet.config.settings import check_settings
from lightdet.core.errors import LightdetError, underneath
from lightdet.core.files import write_text

ROOT = Path(__file__).resolve().parent.parent
PAGE_FILES = ("```python\n# mine.py", "```yaml\n# @package")  # how its two files begin, caption or not


def shell(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`lightdet WORDS` as the console script runs it, without an installation."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = "import sys; from lightdet.cli.main import program; sys.exit(program())"
    return subprocess.run(
        [sys.executable, "-c", script, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def test_help_is_quick_and_does_without_torch(tmp_path: Path) -> None:
    script = (
        "import runpy, sys\n"
        "sys.argv = ['train.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules and 'pytorch_lightning' not in sys.modules\n"
    )
    before = os.times()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    after = os.times()
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    assert done.returncode == 0, done.stderr
    assert "attention" in done.stdout
    assert seconds < 4, "of processor time, which a busy machine does not stretch"


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"lightdet {command}" in shown for command in ("train", "evaluate", "predict", "doctor"))


@pytest.mark.parametrize("command", ["evaluate", "predict", "doctor", "convert", "benchmark"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert f"lightdet {command}" in capsys.readouterr().out


def test_an_environment_variable_that_is_missing_is_one_line(tmp_path: Path) -> None:
    done = shell("train", "seed=${oc.env:NOBODY_SET_THIS}", f"runs_dir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr == "lightdet: no value for data.seed: Environment variable 'NOBODY_SET_THIS' not found\n"


@pytest.mark.parametrize("words", [[], ["trian"]])
def test_no_such_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    shown = "".join(capsys.readouterr())
    assert "train" in shown
    assert "evaluate" in shown


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", "image_sise=224"], "image_sise"),
        (["train", "attention=cbma"], "cbam"),  # the choices are told
        (["train", "-m", "attention=cbma,none"], "cbam"),
        (["doctor", "attention=cbma"], "cbam"),
        (["doctor", "image_sise=224"], "image_sise"),
    ],
)
def test_a_mistyped_override_is_told_without_a_traceback(words: list[str], named: str, tmp_path: Path) -> None:
    done = shell(*words, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("status.json")), "a run was begun"


def test_an_error_of_ours_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = shell("train", "data=voc", "logger=none", f"runs_dir={tmp_path}/runs", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("lightdet: ")
    assert "data.reader.root" in line


def test_an_error_inside_an_error_of_hydra_is_the_one_told() -> None:
    try:
        try:
            raise LightdetError("no such\nfolder")
        except LightdetError as inner:
            raise RuntimeError("Error in call to target") from inner
    except RuntimeError as outer:
        assert reason(outer) == "no such folder"
    assert underneath(RuntimeError("other")) is None


def test_missing_values_of_the_data_are_named() -> None:
    config = OmegaConf.create({"data": {"reader": {"root": "???", "other": 1}}, "model": {"num_classes": "???"}})
    with pytest.raises(LightdetError, match=r"data\.reader\.root=\.\.\."):
        require_values(config)
    config.data.reader.root = "here"
    require_values(config)


def test_evaluate_settings() -> None:
    own, overrides = split_settings(["split=test", "threshold=0", "data.reader.root=/x=y"])
    assert own == {"split": "test", "threshold": "0"}
    assert overrides == ["data.reader.root=/x=y"]
    for word in ("splitt=val", "val"):
        with pytest.raises(LightdetError):
            split_settings([word])


def test_doctor_sees_what_train_would_see(tmp_path: Path) -> None:
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/mine.yaml").write_text("defaults: [synthetic]\nbatch_size: 3\n")
    config = compose_config(["data=mine", "seed=7"], tmp_path / "conf")
    assert (config.data.batch_size, config.seed) == (3, 7)
    with pytest.raises(LightdetError, match="no such folder"):
        compose_config([], tmp_path / "nowhere")


def test_an_attention_from_outside_as_the_page_tells_it(tmp_path: Path) -> None:
    """The module and option file of docs/parts.md, neither of them in this project."""
    page = (ROOT / "docs/parts.md").read_text()
    blocks = (page[page.index(start) :].split("```")[1] for start in PAGE_FILES)
    module, option = (block.partition("\n")[2] for block in blocks)  # as they are printed
    (tmp_path / "mine.py").write_text(module)
    (tmp_path / "options/attention").mkdir(parents=True)
    file = tmp_path / "options/attention/mine.yaml"
    file.write_text("# my own\n" + option)
    misplaced = shell("train", "--config-dir", "options", "attention=mine", cwd=tmp_path)
    assert misplaced.returncode == 2 and "attention: this option sets nothing" in misplaced.stderr
    assert not (tmp_path / "runs").exists()
    file.write_text(option)
    shown = shell("train", "--config-dir", "options", "attention=mine", "--cfg", "job", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert OmegaConf.create(shown.stdout).model.network.attention == {
        "_target_": "mine.Mine",
        "_partial_": True,
        "start": 1.0,
    }
    script = (
        "from pathlib import Path; import lightdet;"
        "lightdet.compose('attention=mine', config_dir=Path('options'));"
        "import mine, torch; assert mine.Mine(8)(torch.ones(1, 8, 2, 2)).shape == (1, 8, 2, 2)"
    )
    command = [sys.executable, "-P", "-c", script]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize(
    "words",
    [
        "image_size=100",
        "seed=-1",
        "trainer.max_epochs=null",
        "trainer.max_epochs=0",
        "trainer.max_epochs=1.5",
        "trainer.accumulate=0",
        "trainer.validate_every=0",
        "trainer.patience=abc",
        "trainer.precision=fp16",
        "trainer.channels_last=foo",
        "trainer.clip_norm=abc",
        "trainer.checkpoint_seconds=-1",
        "model.criterion.box_gain=abc",
        "model.max_detections=0",
        "augment.min_visible=3",
        "trainer.device=0",
        "trainer.devices=auto",
        "trainer.progress=abc",
        "data.batch_size=0",
        "head=80",
        "trainer.limit_train_batches=0",
        "trainer.limit_val_batches=0",
        "trainer.limit_val_batches=-2",
        "trainer.limit_val_batches=1.5",
        "trainer.limit_train_batches=true",
        "trainer.overfit_batches=null",
        "trainer.overfit_batches=-1",
        "optimizer.lr=abc",
        "optimizer.weight_decay=-1",
        "schedule.warmup_epochs=-1",
        "schedule.final_share=-1",
        "model.score_threshold=2",
        "model.nms_iou=abc",
        "width=0",
        "width=abc",
        "depth=-1",
        "augment=mosaic augment.mosaic.probability=3",
        "augment=mosaic augment.mosaic.closing_epochs=abc",
        "augment=mosaic augment.mosaic.scale=0.5",
        "augment=mosaic augment.mosaic.scale=[1]",
        "augment=mosaic augment.mosaic.centre=[a,b]",
        "augment=mosaic augment.mosaic.min_visible=2",
        "augment=window augment.window.share=abc",
        "augment=window augment.window.min_side=abc",
        "data/sampling=repeat_factor data.sampling.threshold=abc",
        "data=deep_pcb data.reader.val_count=1.5",
    ],
)
def test_a_number_with_which_no_training_can_be_done_is_named(words: str) -> None:
    *options, word = words.split()
    check_settings(compose_config(options))
    with pytest.raises(LightdetError, match=f"^{re.escape(word.partition('=')[0])}="):
        check_settings(compose_config([*options, word]))


def test_a_place_that_is_taken_by_a_file_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def taken(words: list[str]) -> int:
        (tmp_path / "file").write_text("")
        (tmp_path / "file" / "folder").mkdir()
        return 0

    monkeypatch.setattr(lightdet.cli.report, "run", taken)
    assert cli.main(["report", "x"]) == 2
    assert capsys.readouterr().err == f"lightdet: {tmp_path}/file/folder: Not a directory; give another path\n"


def test_a_full_disk_is_told_in_one_line_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(words: list[str]) -> int:
        write_text(tmp_path / "report.md", "words")
        return 0

    monkeypatch.setattr(lightdet.cli.report, "run", write)
    monkeypatch.setattr(os, "fsync", full)
    assert cli.main(["report", "x"]) == 2
    told = f"lightdet: {tmp_path}/report.md: No space left on device; free some space, or give another path\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("words", ["error of a disk", "no memory"])
def test_what_the_world_does_to_a_command_is_told_in_one_line(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: list[str]) -> int:
        raise MemoryError if words == "no memory" else OSError(errno.EIO, os.strerror(errno.EIO), "/x/table.md")

    monkeypatch.setattr(lightdet.cli.report, "run", fail)
    assert cli.main(["report", "x"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(("lightdet: a disk or terminal does not answer", "lightdet: too little memory"))
    assert told.count("\n") == 1
