"""A run folder that travels as bytes: what leaves, what is believed when it comes back, and in which order."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from launcher_standin import claim

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_text
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher import ray_node, transfer
from lightdet.study.launcher.ray_node import Mailbox, Sender
from lightdet.study.launcher.transfer import Files, files_for_node, names, unpack, unpack_on_driver


@pytest.fixture
def home(tmp_path: Path) -> RunFolder:
    return claim(tmp_path / "study", 4)


def fill(folder: RunFolder, *more: str) -> None:
    for name in more:
        write_text(folder.path / name, name)


def status(**facts: object) -> bytes:
    return json.dumps({"state": "running", **facts}).encode()


def test_a_node_gets_what_it_goes_on_from_and_nothing_else(home: RunFolder, tmp_path: Path) -> None:
    fill(home, "checkpoints/last.ckpt", "metrics.csv", "pictures/a.png", "wandb/run/a.wandb", ".lock", "half.12.tmp")
    (home.path / "link.txt").symlink_to(tmp_path / "elsewhere")
    assert set(files_for_node(home)) == {"checkpoints/last.ckpt", "metrics.csv", "request.yaml", "status.json"}
    assert set(names(home)) == set(files_for_node(home)) | {"pictures/a.png", "wandb/run/a.wandb"}
    there = RunFolder(tmp_path / "node" / "study" / "row" / "s4")
    unpack(there, files_for_node(home))
    assert files_for_node(there) == files_for_node(home)


@pytest.mark.parametrize(
    "name",
    [
        "../s5/status.json",
        "/etc/passwd",
        "a/../../b",
        "..",
        "",
        ".lock",
        "C:x",
        "a\\..\\b",
        "a\0b",
        "link/a",
        "pictures",
        7,
    ],
)
def test_names_that_lead_out_are_refused_before_anything_is_written(home: RunFolder, tmp_path: Path, name: str) -> None:
    home.pictures.mkdir()
    (tmp_path / "outside").mkdir()
    (home.path / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(LightdetError, match="a node sent"):
        unpack_on_driver(home, {"metrics.csv": b"1", name: b"2"})
    assert not home.metrics_csv.exists()
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize(
    "sent", [{"request.yaml": b"seed: 5"}, {"status.json": b"{"}, {"status.json": b'{"state": 1}'}]
)
def test_a_node_cannot_change_what_is_trained(home: RunFolder, sent: Files) -> None:
    with pytest.raises(LightdetError, match="a node sent"):
        unpack_on_driver(home, sent)
    assert home.request_path.read_text() == "seed: 4\n"
    assert home.read_status()["state"] == "queued"


def test_the_status_keeps_its_identity_and_its_traceback_lies_at_home(home: RunFolder) -> None:
    sent = status(fingerprint="another", seed=9, host="node", traceback="/tmp/node/traceback.txt")
    unpack_on_driver(home, {"status.json": sent})
    noted = home.read_status()
    assert (noted["fingerprint"], noted["seed"], noted["study"]) == ("x-s4", 4, "study")
    assert (noted["host"], noted["traceback"]) == ("node", str(home.traceback_path))


def test_done_is_written_last_and_last_ckpt_after_what_it_refers_to(
    home: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(transfer, "write_bytes", lambda path, data: written.append(path.name))
    monkeypatch.setattr(transfer, "write_json", lambda path, data: written.append(path.name))
    files = {"status.json": status(), "checkpoints/last.ckpt": b"", "checkpoints/best.ckpt": b"", "results.json": b"{}"}
    unpack_on_driver(home, files)
    assert written == ["best.ckpt", "results.json", "last.ckpt", "status.json"]


def test_news_are_what_changed_and_the_end_is_not_among_them(home: RunFolder) -> None:
    mailbox = Mailbox()
    with Sender(home, lambda files: mailbox.put("a", files), seconds=0.05, beat=0.05) as news:
        fill(home, "checkpoints/last.ckpt", "metrics.csv")
        home.write_status("running", epoch=1)
        first = wait_for(mailbox, "checkpoints/last.ckpt")
        assert "request.yaml" not in first
        assert set(first) >= {"metrics.csv", "status.json"}
        home.write_status("done")
        fill(home, "pictures/a.png", "more.txt")
        second = wait_for(mailbox, "more.txt")
        assert set(second) == {"more.txt"}
    assert set(news.rest()) == {"pictures/a.png", "status.json"}
    assert not news.rest()


def test_a_beat_that_fails_loses_no_news(home: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox, sends = Mailbox(), 0

    def send(files: Files) -> None:
        nonlocal sends
        sends += 1
        if sends in (1, 3, 4):  # home does not answer: when the node begins, and to the first news
            raise ConnectionError
        mailbox.put("a", files)

    def look(folder: RunFolder) -> list[str]:
        monkeypatch.setattr(ray_node, "names", names)
        raise FileNotFoundError("a folder vanished")

    with Sender(home, send, seconds=0.04, beat=0.02) as news:
        monkeypatch.setattr(ray_node, "names", look)
        fill(home, "checkpoints/last.ckpt", "metrics.csv")
        found = wait_for(mailbox, "metrics.csv")
        assert "checkpoints/last.ckpt" in found or wait_for(mailbox, "checkpoints/last.ckpt")
    assert sends >= 5 and not news.rest()


def test_a_home_that_is_gone_is_not_asked_for_ever(home: RunFolder) -> None:
    sends = []

    def send(files: Files) -> None:
        sends.append(files)
        raise ConnectionError

    with Sender(home, send, seconds=1, beat=0.001) as news:
        news._thread.join(20)
        assert not news._thread.is_alive()
    assert len(sends) == ray_node.GIVE_UP


def test_a_folder_that_vanishes_while_the_files_are_listed(home: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home, "metrics.csv", "wandb/gone/a", "wandb/here/a")
    expected = [name for name in names(home) if "gone" not in name]
    scan = os.scandir

    def gone(path: Any) -> Any:
        if Path(path).name == "gone":
            raise FileNotFoundError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert names(home) == expected
    assert "wandb/here/a" in expected


def wait_for(mailbox: Mailbox, name: str) -> Files:
    found: Files = {}
    for _ in range(200):
        found |= mailbox.take().get("a", {})
        if name in found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{name} did not come")
