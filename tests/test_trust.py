"""A received folder is data: about a hundred attempts to make its files run something, none of which does."""

import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hostile import EVIL, PAYLOADS, UNREADABLE, Bomb, commands, put
from omegaconf import OmegaConf
from PIL import Image

import lightdet
from lightdet.cli.main import main
from lightdet.config import saved
from lightdet.config.allowed import LOOK_UP, OF_TORCH, shipped
from lightdet.config.compose import compose_config
from lightdet.config.conf_folder import conf_folder
from lightdet.config.trust import check_trusted, composed_here, needs_word
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.distributed.world import World
from lightdet.engine.fit import train_beside
from lightdet.study import worker

KEPT = Path(__file__).parent / "kept_run.tar.xz"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A received run of a study that was killed; the working directory holds what its payloads want."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "stuff.txt").write_text("stuff")
    (tmp_path / "mine_evil.py").write_text(EVIL)
    (tmp_path / "hubconf.py").write_text(EVIL)
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    Image.new("L", (64, 64)).save(tmp_path / "image.png")
    for name in ("guard_output", "end_on_signals"):  # of a process of its own
        monkeypatch.setattr(worker, name, lambda: None)
    path = list(sys.path)
    (folder,) = tmp_path.glob("runs/kept/*/s0")
    yield folder.relative_to(tmp_path)
    sys.path[:] = path
    sys.modules.pop("mine_evil", None)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command prints instead of doing anything."""
    capsys.readouterr()
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not Path("MARK").exists() and "mine_evil" not in sys.modules
    return line


@pytest.mark.parametrize("command", ["predict", "retry"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_in_a_configuration_runs(
    run: Path, payload: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "retry" and payload in UNREADABLE:
        pytest.skip("a request that cannot be read is a failed run of its study")
    put(run, *PAYLOADS[payload])
    line = refused(commands(run)[command], capsys)
    assert "config.yaml" in line or "request.yaml" in line
    assert ("--trust-modules" in line) == (payload not in UNREADABLE)


@pytest.mark.parametrize(
    "section", ["data", "optimizer", "schedule", "callback", "logger", "augment", "trainer", "recipe"]
)
def test_nothing_in_another_section_runs(run: Path, section: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(run, PAYLOADS["direct"][0], section=section)
    assert f"{section}.evil names shutil.copyfile" in refused(commands(run)["retry"], capsys)


@pytest.mark.parametrize("command", ["evaluate", "benchmark"])
@pytest.mark.parametrize("payload", ["direct", "alias", "interpolated node", "module of the folder", "hub", "pickle"])
def test_no_other_command_runs_it(run: Path, payload: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(run, *PAYLOADS[payload])
    assert "--trust-modules" in refused(commands(run)[command], capsys)


def test_python_and_the_processes_of_a_cluster_refuse_it_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(run, *PAYLOADS["module of the folder"])
    with pytest.raises(LightdetError, match=r"model\.evil names mine_evil\.Evil.*trust_modules=True"):
        lightdet.load(run)
    with pytest.raises(LightdetError, match="mine_evil"):
        lightdet.evaluate(run)
    assert worker.main([str(run)]) == 2
    assert "model.evil names mine_evil.Evil" in capsys.readouterr().err
    assert not Path("MARK").exists() and os.getcwd() not in sys.path


def test_a_rank_refuses_a_plan_of_somebody_elses(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(run, *PAYLOADS["module of the folder"])
    plan = OmegaConf.to_yaml(saved.read_config(run / "config.yaml", trust_modules=True))
    monkeypatch.setattr("lightdet.engine.fit.follow", lambda world, prepare: prepare(plan))
    with pytest.raises(LightdetError, match=r"the plan of rank 0: model\.evil names mine_evil\.Evil"):
        train_beside(World(1, 2), run)
    assert not Path("MARK").exists()


@pytest.mark.parametrize(
    "payload", ["direct", "module of the folder", "hub", "looked up", "created", "default of select"]
)
def test_a_report_names_it_in_a_note(run: Path, payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    (received,) = Path("whole/kept").glob("*/s0")
    put(received, *PAYLOADS[payload])
    assert main(["report", "whole/kept", "--resamples", "100"]) == 0
    assert "not counted at other sizes (config.yaml: model.evil" in Path("whole/kept/report/report.md").read_text()
    assert not Path("MARK").exists()


@pytest.mark.parametrize("payload", ["direct", "a list", "interpolated node", "alias", "pickle", "sympify"])
def test_without_the_check_it_would_run(run: Path, payload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(run, *PAYLOADS[payload])
    monkeypatch.setattr(saved, "check_trusted", lambda *_: None)
    with pytest.raises(Exception):  # noqa: B017  # the detector takes no such argument
        lightdet.load(run, checkpoint="last")
    assert Path("MARK").exists()


@pytest.mark.parametrize("configured", [True, False])
def test_a_pickle_in_the_place_of_a_file_is_not_unpickled(run: Path, configured: bool) -> None:
    known = {path.name for path in run.iterdir() if path.is_file()}
    names = known | {"scores.json", "results.json", "detections.json", "contributions.json", "job.json", "latency.json"}
    configurations = {"config.yaml", "request.yaml", "overrides.yaml"}
    for name in configurations if configured else names - configurations:
        (run / name).write_bytes(Path("bomb.pkl").read_bytes())
    for name in ("paper.yaml", "benchmark.json", "search.json", "search.db", "study.json"):
        (run.parents[1] / name).write_bytes(Path("bomb.pkl").read_bytes())
    further = [["report", "runs/kept"], ["study", "runs/kept"], ["study", "runs/kept", "clean"]]
    for words in (*commands(run).values(), *further):
        if "retry" not in words:
            assert main(words) in (0, 1, 2), words
    assert not configured or worker.main([str(run)]) == 2
    assert not Path("MARK").exists()


@pytest.mark.parametrize("how", ["pickle", "torch.save"])
def test_a_pickle_in_a_checkpoint_is_not_unpickled(run: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        file = run / "checkpoints" / name
        if how == "pickle":
            file.write_bytes(pickle.dumps({"ema": Bomb(), "epoch": 0}))
        else:
            torch.save({"ema": Bomb(), "epoch": 0}, file)
        with pytest.raises(LightdetError, match="not a readable checkpoint"):
            read_checkpoint(file)
    for words in (commands(run)["predict"], commands(run)["evaluate"], commands(run)["benchmark"]):
        assert "not a readable checkpoint" in refused(words, capsys)


def test_the_word_and_the_file_let_a_persons_module_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine_good.py").write_text("from lightdet.attention.cbam import Cbam as Mine\n")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("lightdet.attention.cbam.Cbam", "mine_good.Mine"))
    words = commands(run)["predict"]
    line = refused(words, capsys)
    file = Path("home/lightdet/trusted_modules").absolute()
    assert "network.attention names mine_good.Mine" in line and line.endswith(
        f"the line mine_good in {file} does so for good"
    )
    assert main([*words, "--trust-modules"]) == 0 and "mine_good" in sys.modules
    sys.path.remove(os.getcwd())
    file.parent.mkdir(parents=True)
    file.write_text("# mine\nmine_goo\nmine_evil\n")
    assert "mine_good.Mine" in refused(words, capsys), "a piece of a name is no module"
    file.write_text("# mine\nmine_good  # from the factory\n")
    assert main(words) == 0
    sys.modules.pop("mine_good")


def test_a_file_of_the_working_directory_is_no_file_of_the_user(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(run, *PAYLOADS["module of the folder"])
    for name in ("here", "~/.config", ".config"):
        Path(name, "lightdet").mkdir(parents=True)
        Path(name, "lightdet/trusted_modules").write_text("mine_evil\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    monkeypatch.setenv("HOME", "")
    with pytest.raises(LightdetError, match="mine_evil"):
        lightdet.load(run)


def test_no_process_of_a_command_looks_for_modules_in_the_working_directory(run: Path) -> None:
    for name in ("random", "numpy", "optuna", "triton"):
        Path(f"{name}.py").write_text(EVIL)
    child = "from multiprocessing import get_context as g; g('forkserver').Process(target=print).start()"
    script = f"""if __name__ == "__main__":
        import subprocess, sys
        import lightdet.cli.main as cli
        cli.keep_memory = lambda: None
        cli.program("study", "runs/kept")
        subprocess.run([sys.executable, "-c", "import random"], check=True)
        {child}
    """
    env = {**os.environ, "PYTHONPATH": str(KEPT.parents[1])}
    subprocess.run([sys.executable, "-P", "-c", script], env=env, check=True, stdout=subprocess.DEVNULL)
    assert not Path("MARK").exists()


def test_what_a_command_composes_is_trusted_by_its_processes_alone(run: Path) -> None:
    mine = compose_config(["+model.evil={_target_:mine_good.Evil}", "data.reader.cache=${oc.env:MINE}", "logger=none"])
    theirs = needs_word(mine)
    assert set(theirs) > {"mine_good.Evil", "${oc.env:MINE}", "lightdet.model.yolo.YoloDetector"}
    kept = OmegaConf.create(OmegaConf.to_yaml(mine))
    with composed_here(theirs):
        check_trusted(kept, "request.yaml")
        assert set(json.loads(os.environ["_LIGHTDET_COMPOSED"])) == set(theirs)
        with pytest.raises(LightdetError, match=r"other\.Evil"):
            check_trusted(OmegaConf.create({"model": {"_target_": "other.Evil"}}), "request.yaml")
    with pytest.raises(LightdetError):
        check_trusted(kept, "request.yaml")


def test_every_shipped_option_is_trusted() -> None:
    def targets(node: Any) -> Iterator[str]:
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from targets(value)
        if isinstance(node, dict) and "_target_" in node:
            yield node["path"] if node["_target_"] == LOOK_UP else node["_target_"]

    files = list(conf_folder().rglob("*.yaml"))
    named = {name for file in files for name in targets(yaml.safe_load(file.read_text()))}
    assert named == set().union(*shipped(conf_folder()).values()) - OF_TORCH | (named & OF_TORCH)
    for file in conf_folder().glob("model/*.yaml"):
        check_trusted(compose_config([f"model={file.stem}"]), file)


def test_what_could_run_code_stands_in_few_files() -> None:
    """A new reader of configurations, checkpoints or names goes through these, or is thought about here."""
    places = {
        r"OmegaConf\.load": {"config/saved.py", "data/reader_of.py"},  # the second reads a shipped option
        r"torch\.load|pickle\.load|\beval\(": {"core/checkpoint_file.py"},
        r"np\.load": set(),
        # whose files `runtime/engine/archive.py` looks through first
        r"self\._torch\.(?:jit|export)\.load|torch\.(?:jit|export)\.load|sympify": {
            "runtime/engine/torchscript.py",
            "runtime/engine/program.py",
        },
        r"import_module\(|\b(?:exec|compile)\(": {
            "__init__.py",
            "cli/main.py",
            "core/named.py",
            "data/convert.py",
            "engine/sink/contract.py",
        },
    }
    top = Path(lightdet.__file__).parent
    files = {path.relative_to(top).as_posix(): path.read_text() for path in top.rglob("*.py")}
    for pattern, known in places.items():
        in_code = re.compile(rf"(?<![\w.`])(?:importlib\.)?(?:{pattern})")  # not in a docstring, nor another's method
        assert {name for name, text in files.items() if in_code.search(text)} == known, pattern
