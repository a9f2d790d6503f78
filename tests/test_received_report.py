"""Reports and tables of studies that were received: no file of the reader is shown or overwritten, nothing hangs."""

import json
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reports import QUICK, Elements, build
from study_factory import add_job

from lightdet.core.errors import LightdetError
from lightdet.report.build import report_study
from lightdet.runs.jobs import read_jobs
from lightdet.study.command import run as study_command

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "x",
    "",
    [],
    [[]],
    {},
    {"a": {}},
    "../x",
)
ROUNDS = 3
HEADER = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 15_000, 8, 2, 0, 0, 0)
PNG_OF_900_MEGABYTES = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + HEADER + struct.pack(">I", zlib.crc32(HEADER))
FILES = ("status.json", "results.json", "scores.json", "splits.json", "detections.json", "contributions.json")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (250, 0, 0)).save(path)
    return path


def test_a_page_holds_no_picture_from_behind_a_link(tmp_path: Path) -> None:
    folder = add_job(tmp_path / "mine", {"a": "1"})
    secret = picture(tmp_path / "secret.png")
    for name in ("pictures/overview.png", "pictures/000-missed1-false0-x.png", "training.png"):
        (folder.path / name).unlink(missing_ok=True)
        (folder.path / name).symlink_to(secret)
    made = report_study(tmp_path / "mine", tmp_path / "mine/report", QUICK)
    page = Elements(made.page.read_text())
    assert not [shown for run in page.details()["runs"].values() for shown in run["pictures"]] and not made.examples
    assert sum("a link that leads out of its run" in line for line in made.troubles) == 3


@pytest.mark.parametrize("link", ["report", "report/examples"])
def test_a_report_is_not_written_through_a_link(link: str, tmp_path: Path) -> None:
    add_job(tmp_path / "mine", {"a": "1"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine" / link).parent.mkdir(exist_ok=True)
    (tmp_path / "mine" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LightdetError, match=f"{link}: a link that leads out of"):
        report_study(tmp_path / "mine", tmp_path / "mine/report", QUICK)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_files_of_a_report_that_are_links_are_replaced_and_not_followed(tmp_path: Path) -> None:
    add_job(tmp_path / "mine", {"a": "1"})
    (tmp_path / "mine/report/examples").mkdir(parents=True)
    names = (
        "report.html",
        "report.md",
        "table2_scores.csv",
        "score_over_epochs.png",
        "examples/row-1.jpg",
        "cost.json",
    )
    for name in names:
        (tmp_path / name.replace("/", "-")).write_text("mine")
        (tmp_path / "mine/report" / name).symlink_to(tmp_path / name.replace("/", "-"))
    report_study(tmp_path / "mine", tmp_path / "mine/report", QUICK)
    assert {(tmp_path / name.replace("/", "-")).read_text() for name in names} == {"mine"}


def test_a_paper_from_behind_a_link_is_named_by_hand(tmp_path: Path) -> None:
    add_job(tmp_path / "mine", {"a": "1"})
    (tmp_path / "private.yaml").write_text("rows: {a=1: {source: s, password: x}}")
    (tmp_path / "mine/paper.yaml").symlink_to(tmp_path / "private.yaml")
    with pytest.raises(LightdetError, match=r"paper\.yaml: a link that leads out of the study"):
        report_study(tmp_path / "mine", tmp_path / "out", QUICK)


def test_pictures_that_are_none_end_no_report(tmp_path: Path) -> None:
    folder = add_job(tmp_path / "mine", {"a": "1"}, pictures=3)
    (folder.pictures / "overview.png").unlink()
    os.mkfifo(folder.pictures / "overview.png")
    (folder.path / "training.png").write_bytes(PNG_OF_900_MEGABYTES)
    (folder.path / "pr_curve.png").write_text("%!PS")
    for index in range(10_000):
        (folder.pictures / f"{index:05}").touch()
    made = report_study(tmp_path / "mine", tmp_path / "out", QUICK)
    assert [line.split(":")[0].rsplit("/")[-1] for line in made.troubles] == ["training.png", "pr_curve.png"]


@pytest.mark.parametrize("name", [*FILES, "search.json", "benchmark.json"])
def test_values_of_every_kind_in_every_place_end_no_command(name: str, tmp_path: Path) -> None:
    """A file of a study with some of its values replaced by others, at any depth."""
    dice = random.Random(name)
    folder = add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    write_ordinary(tmp_path)
    path = (tmp_path if name in ("search.json", "benchmark.json") else folder.path) / name
    whole = json.loads(path.read_text()) if path.exists() else {"image_ids": ["a"], "scores": {}}
    for _ in range(ROUNDS):
        path.write_text(json.dumps(spoilt(whole, dice)))
        build(tmp_path)
        assert study_command([str(tmp_path)]) in (0, 1)
        assert len(read_jobs(tmp_path)) == 2


def write_ordinary(study: Path) -> None:
    trial = {"number": 0, "state": "done", "parameters": {"lr": "0.1"}, "values": {"map50": 0.5}, "reached": 0.5}
    facts = {"objectives": {"map50": "maximize"}, "parameters": ["lr"], "trials": [trial, {**trial, "number": 1}]}
    facts |= {"best": [0], "watched": "val/map50", "importance": {"map50": {"lr": 1.0}}}
    (study / "search.json").write_text(json.dumps(facts))
    batches = {"1": {"eager": {"ms": {"median": 3.0}}}}
    bench = {"rows": [{"network": "x", "batches": batches}], "settings": {"ways": ["eager"], "threads": 1}}
    (study / "benchmark.json").write_text(json.dumps(bench | {"machine": {"processor": "p"}}))


def spoilt(tree: Any, dice: random.Random) -> Any:
    if dice.random() < 0.04:
        return dice.choice(VALUES)
    if isinstance(tree, dict):
        return {key: spoilt(value, dice) for key, value in tree.items()}
    return [spoilt(value, dice) for value in tree] if isinstance(tree, list) and len(tree) < 30 else tree
