"""What leaves the clone: a wheel that carries its configuration, and pins that anyone can install."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from lightdet.config.conf_folder import conf_folder

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


FIVE_LINES = """
import lightdet
run = lightdet.train("model=light", "image_size=96", "trainer.max_epochs=1", "debug=one_step", "logger=none")
model = lightdet.load(run, threshold=0.0)
results = model(run.results["metrics"]["samples"][0]["path"])
print(results[0].boxes.shape, results[0].names[:1], results[0].plot().size)
assert lightdet.load("last")([]) == []
assert lightdet.evaluate(run, split="val")["images"] > 0
assert lightdet.compose("model=proposed").image_size == 160
assert lightdet.build("model=proposed", classes=["dent"]).training
print(lightdet.__file__)
"""


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from here, without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (path,) = folder.glob("lightdet-*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> set[str]:
    """Names in the wheel."""
    with zipfile.ZipFile(wheel_file) as archive:
        return set(archive.namelist())


def test_wheel_carries_every_option(wheel: set[str]) -> None:
    options = {f"lightdet/conf/{path.relative_to(ROOT / 'conf').as_posix()}" for path in ROOT.glob("conf/**/*.yaml")}
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("lightdet/**/*.py")}
    assert "lightdet/conf/train.yaml" in options
    assert options | modules <= wheel
    assert "lightdet/py.typed" in wheel, "type checkers read the annotations of an installed package only then"


def test_the_wheel_serves_a_notebook_from_an_empty_folder(wheel_file: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed)]
    subprocess.run([*pip, str(wheel_file)], check=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", FIVE_LINES]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(installed / "lightdet" / "__init__.py")


def test_wheel_carries_nothing_else(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.startswith("lightdet-")} == {"lightdet"}
    assert not [name for name in wheel if re.search(r"test|\.pyc$|(?<!lightdet/)runs/|wandb/.*\.wandb$", name)]


def test_wheel_has_the_command_and_the_licence(wheel: set[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert PROJECT["scripts"] == {"lightdet": "lightdet.cli.main:program"}


def test_configuration_is_found() -> None:
    assert conf_folder().is_absolute()
    assert (conf_folder() / "train.yaml").is_file()


def test_lock_pins_every_dependency_with_hashes_and_names_no_host() -> None:
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)", LOCK, flags=re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["dev"], *extras["export"]]
    names = {re.split(r"[<>=!~ ;\[]", each)[0].lower() for each in asked}
    assert names <= set(pins)
    assert "://" not in LOCK
    for block in re.split(r"\n(?=[a-z0-9])", LOCK.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_lock_agrees_with_the_bounds() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)", LOCK, flags=re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    for each in [*PROJECT["dependencies"], *extras["dev"], *extras["export"]]:
        asked = requirements.Requirement(each)
        assert asked.specifier.contains(pins[asked.name.lower()], prereleases=True), f"{each}: {pins[asked.name]}"


def test_every_make_target_tells_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):(.*)$", text, flags=re.MULTILINE)
    assert {"help", "setup", "train", "test", "lint", "sweep", "bench", "clean"} <= {name for name, _ in targets}
    assert all("## " in rest for _, rest in targets)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_bench_compares_what_the_readme_says() -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS"))}

    def asked(*words: str) -> str:
        command = ["make", "-n", "bench", *words]
        return subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True).stdout

    assert "benchmark model=yolov5s,proposed --rounds 60" in asked()
    assert "benchmark model=light\n" in asked("ARGS=model=light")
