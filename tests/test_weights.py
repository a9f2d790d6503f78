"""`weights=RUN|FILE`: a training that starts from another one's weights."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from test_end_to_end import TINY
from torch import nn

from lightdet.cli.main import main
from lightdet.config.compose import compose_job
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes
from lightdet.engine.weights import start_from
from lightdet.runs.folder import RunFolder
from lightdet.runs.registration import register, request_job


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the run `base`, trained for one epoch."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *TINY, f"data.reader.cache={folder}/cache", "name=base"]) == 0
    return folder


@pytest.fixture
def words(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(place)
    return ["train", *TINY, f"data.reader.cache={place}/cache"]


def test_a_run_starts_from_another_and_a_resumed_one_does_not_load_again(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert RunFolder("runs/single/base/s0").is_done()
    command = [*words, "weights=base", "seed=3", "name=second"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.startswith("  weights"))
    first, _, rest = line.split()[1:4]
    assert first == rest and "start anew" not in line and line.endswith("runs/single/base/s0/checkpoints/best.ckpt")

    folder = RunFolder("runs/single/second/s3")
    folder.results_path.unlink()
    folder.write_status("killed")
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert folder.is_done() and "  weights" not in shown and "done already" not in shown


def test_another_number_of_classes_keeps_what_fits(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from tiny_datasets import write_voc

    write_voc(Path("voc"))
    size = [word for word in words if not word.startswith("data.reader")]
    data = ["data=neu_det", "data.reader.root=voc", "data.reader.classes=[scratch,dent]", "data.batch_size=2"]
    assert main([*size, *data, "weights=runs/single/base/s0/checkpoints/best.ckpt"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  weights"))
    assert "start anew: network.predictor." in line
    assert int(line.split()[1].replace(",", "")) < int(line.split()[3].replace(",", ""))


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        ("nowhere", "weights=nowhere: no run here; name a run folder"),
        (__file__, f"weights={__file__}: no checkpoint; give a file that torch.save wrote, or a run"),
        (
            "runs/single/broken/s0",
            "weights=runs/single/broken/s0: runs/single/broken/s0/checkpoints/best.ckpt does not",
        ),
    ],
)
def test_no_such_weights_is_one_line_before_a_folder_is_made(
    words: list[str], weights: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    RunFolder("runs/single/broken/s0").write_status("failed")
    before = sorted(Path("runs").rglob("request.yaml"))
    assert main([*words, f"weights={weights}"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"lightdet: {line}")
    assert sorted(Path("runs").rglob("request.yaml")) == before


def requested(*words: str) -> str:
    request = request_job(compose_job(words), list(words))
    assert not request.trouble, request.trouble
    return request.fingerprint


def test_weights_count_by_their_content(words: list[str], tmp_path: Path) -> None:
    base = "weights=runs/single/base/s0"
    shutil.copyfile("runs/single/base/s0/checkpoints/best.ckpt", tmp_path / "copy.ckpt")
    assert requested(base) == requested(f"weights={tmp_path}/copy.ckpt") != requested()
    write_bytes(tmp_path / "copy.ckpt", b"PK other")
    assert requested(f"weights={tmp_path}/copy.ckpt") != requested(base)
    old = compose_job([])
    before = request_job(old, []).fingerprint
    OmegaConf.set_struct(old, False)
    del old["weights"]
    assert request_job(old, []).fingerprint == before, "null is what runs did before"


def test_last_is_the_same_run_when_the_command_is_given_again(words: list[str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree("runs/single/base", runs / "single/base")
    given = ("weights=last", f"runs_dir={runs}")
    first = request_job(compose_job(given), list(given))
    (folder,) = register(runs, "single", [first])
    assert (
        folder is not None
        and folder.start_path.read_bytes() == (runs / "single/base/s0/checkpoints/best.ckpt").read_bytes()
    )
    write_bytes(folder.checkpoints / "best.ckpt", b"trained since")
    write_bytes(folder.config_path, b"seed: 0\n")
    folder.write_status("done", started="2999-01-01T00:00:00+00:00")
    assert request_job(compose_job(given), list(given)).fingerprint == first.fingerprint


def test_a_sweep_over_weights(words: list[str]) -> None:
    assert main([*words, "-m", "weights=base,nowhere,null", "study=swept"]) == 1
    rows = {path.stem: json.loads(path.read_text()) for path in Path("runs/swept/jobs").glob("*.json")}
    assert sorted(rows) == ["weights-base__s0", "weights-nowhere__s0", "weights-null__s0"]
    assert rows["weights-nowhere__s0"]["reason"].startswith("weights=nowhere: no run here")
    assert RunFolder("runs/swept/weights-base/s0").is_done()


def test_a_row_outlives_the_run_that_it_started_from(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command continues or skips it after the first run is deleted; another training is refused."""
    runs = tmp_path / "runs"
    shutil.copytree("runs/single/base", runs / "single/source")
    given = ["weights=source", f"runs_dir={runs}", "seed=3"]
    first = request_job(compose_job(given), given)
    (folder,) = register(runs, "outlives", [first])
    assert folder is not None
    before = sorted((path, path.read_bytes()) for path in (runs / "outlives").rglob("*.*") if path.is_file())
    shutil.rmtree(runs / "single/source")
    again = request_job(compose_job(given), given)
    assert again.trouble.startswith("weights=source: no run here")
    assert [of.path for of in register(runs, "outlives", [again]) if of] == [folder.path]
    assert before == sorted((path, path.read_bytes()) for path in (runs / "outlives").rglob("*.*") if path.is_file())

    folder.write_status("done")
    folder.write_results({"metrics": {}})
    assert main(["train", *given, "study=outlives"]) == 0
    assert "this run is done already" in capsys.readouterr().out
    assert main(["train", *given, "study=outlives", "optimizer.lr=0.5"]) == 2


def test_what_fits_by_name_and_shape_is_taken_and_nothing_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 6))
    torch.save(given.state_dict(), tmp_path / "plain.pt")
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    line = start_from(model, tmp_path / "plain.pt", "plain.pt")
    assert line == "24 of 34 parameters from plain.pt; start anew: 2.weight, 2.bias"
    assert torch.equal(model[0].weight, given[0].weight)
    with pytest.raises(LightdetError, match=r"weights=plain.pt: none of its 9 tensors fits a parameter"):
        start_from(nn.Conv2d(1, 1, 1), tmp_path / "plain.pt", "plain.pt")
