"""What `lightdet export` writes, where, and what it refuses."""

import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from exported import Exported, contract_in, copy_of, rewrite
from omegaconf import OmegaConf

import lightdet
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.engine.load import build_model
from lightdet.export import whole_folder
from lightdet.export.origin import without_paths
from lightdet.ops.letterbox import PADDING_GREY
from lightdet.runs.contract import PLACING
from lightdet.runs.package import CARD, CONTRACT, FILES, read_contract
from lightdet.study import archive


def export(made: Exported, out: Path, **how: str) -> Path:
    return lightdet.Run(made.run.path).export(out, **how)


@pytest.fixture
def here(made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with copies of the runs and the packages."""
    for name in ("runs", "packages"):
        shutil.copytree(made.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_written(made: Exported) -> None:
    contract = contract_in(made.package)
    results = made.run.read_results()["metrics"]
    assert contract["measured"]["val"]["scores"]["map50_95"] == results["map50_95"]
    assert (
        contract["measured"]["val"]["images"] == 4 and contract["threshold"] == results["operating_point"]["threshold"]
    )
    assert contract["hashes"]["run"] == made.run.read_status()["fingerprint"]
    assert contract["model"]["options"]["model"] == "proposed" and contract["licence"] == "ours"
    assert contract["model"]["modules"] == []
    assert contract["input"]["image_size"] == 64 and PLACING["letterbox"]["padding_grey"] == PADDING_GREY  # type: ignore[index]
    card = (made.package / CARD).read_text()
    assert "On 4 validation images" in card and "What it should not be used for" in card and "ours" in card
    for name in (CONTRACT, CARD):
        assert str(made.folder) not in (made.package / name).read_text(), "no path of this machine"
    assert any(word == "data.reader.cache=.../cache" for word in contract["provenance"]["overrides"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("data.reader.root=/data/my/steel", "data.reader.root=.../steel"),
        ("a=[/a/b,'~/c d',file:///e/f]", "a=[.../b,'.../c d',.../f]"),
        (r"runs_dir=C:\Users\me\runs", "runs_dir=.../runs"),
        ("a=../b/c lr=1/3 +data/sampling=x", "a=../b/c lr=1/3 +data/sampling=x"),
    ],
)
def test_absolute_paths_lose_all_but_their_last_name(text: str, kept: str) -> None:
    assert without_paths(text) == kept


def test_an_earlier_package_of_the_run_is_replaced_and_nothing_else(made: Exported, tmp_path: Path) -> None:
    out = copy_of(made.package, tmp_path / "out")
    (out / CARD).write_text("edited")
    assert export(made, out, licence="ours") == out
    assert (out / CARD).read_bytes() == (made.package / CARD).read_bytes()

    mine = copy_of(out, tmp_path / "mine")
    (mine / "LICENCE").write_text("a file of mine")
    foreign = copy_of(out, tmp_path / "foreign")
    rewrite(foreign, contract_in(out) | {"hashes": contract_in(out)["hashes"] | {"run": "another"}})
    empty, link = tmp_path / "empty", tmp_path / "link"
    empty.mkdir()
    link.symlink_to(out)
    for place in (mine, foreign, empty, link, tmp_path, made.run.path, out / CARD):
        before = sorted(path for path in tmp_path.rglob("*"))
        with pytest.raises(LightdetError, match="exists and is not just an earlier package of this run"):
            export(made, place)
        assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("exists", [True, False])
def test_an_export_that_breaks_leaves_what_was_there(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    out = tmp_path / "out"
    if exists:
        copy_of(made.package, out)
    write = whole_folder.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == CARD:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(whole_folder, "write_bytes", full)
    with pytest.raises(LightdetError, match="No space left on device"):
        export(made, out)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if exists else [])
    assert not exists or read_contract(out) == read_contract(made.package)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "nowhere: no run here"),
        (["base", "--format", "onyx"], "format onyx: no such format; there is package"),
        (["packages/base"], "packages/base: a model package already; copy the folder"),
        (["runs/single/begun/s0"], "runs/single/begun/s0: this run is killed and has no results to pass on"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    here: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = here / "runs/single/begun/s0"
    begun.mkdir(parents=True)
    (begun / "status.json").write_text('{"state": "killed"}')
    assert main(["export", *words]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told


def test_the_newest_run_is_exported_into_its_own_folder(
    made: Exported, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "last"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "written to runs/single/base/s0/package"
    assert read_contract(here / "runs/single/base/s0/package") == read_contract(made.package)
    assert lightdet.load("base").classes == read_contract(made.package).classes, "the run is still found by its name"


def test_a_study_is_exported_with_its_packages_only_with_its_checkpoints(made: Exported, tmp_path: Path) -> None:
    study = Path(shutil.copytree(made.run.path.parents[1], tmp_path / "study"))
    copy_of(made.package, study / "base/s0/package")
    for checkpoints in (False, True):
        archive.export(study, tmp_path / "study.zip", checkpoints)
        with zipfile.ZipFile(tmp_path / "study.zip") as written:
            names = {name for name in written.namelist() if "/package/" in name}
        assert {Path(name).name for name in names} == (set(FILES) if checkpoints else set())


OWN = """
from lightdet.attention.eca import Eca


class Mine(Eca):
    pass
"""


def test_a_model_of_an_own_module_says_what_its_user_needs(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "my_attention.py").write_text(OWN)
    run = Path(shutil.copytree(made.run.path, tmp_path / "run"))
    config = OmegaConf.load(run / "config.yaml")
    config.model.network.attention = {"_target_": "my_attention.Mine", "_partial_": True}
    OmegaConf.save(config, run / "config.yaml")
    model = build_model(config, 6, fetch=False)
    state = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    state["ema"]["weights"] = model.state_dict()
    torch.save(state, run / "checkpoints/best.ckpt")
    assert main(["export", str(run), "--out", "own"]) == 2
    assert "--trust-modules" in capsys.readouterr().err
    assert main(["export", str(run), "--out", "own", "--trust-modules"]) == 0
    assert "who uses it needs my_attention" in capsys.readouterr().out
    assert "my_attention" in (tmp_path / "own" / CARD).read_text() and contract_in(Path("own"))["model"]["modules"]
    with pytest.raises(LightdetError, match=r"my_attention\.Mine.*--trust-modules"):
        lightdet.load("own")
    assert lightdet.load("own", trust_modules=True).classes == lightdet.load(made.package).classes


def test_a_model_that_a_path_describes_is_not_exported(made: Exported, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made.run.path, tmp_path / "run"))
    config = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(config, "model.network.attention.where", "/home/me/weights.pt", force_add=True)
    OmegaConf.save(config, run / "config.yaml")
    with pytest.raises(LightdetError, match=r"model\.network\.attention\.where"):
        lightdet.Run(run).export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
