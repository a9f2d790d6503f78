"""W&B's mode is decided by the key, the network and the option, without a question and without a wait."""

import http.server
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tracked_run
import wandb
from tracked_run import CONFIG, forget_wandb, of_kind, records, train

from lightdet.logger.wandb import WandbLogger
from lightdet.logger.wandb_mode import answers, decide, has_key
from lightdet.runs.folder import RunFolder

folder = pytest.fixture(tracked_run.folder)
KEY = "0123456789" * 4
SILENT = "http://192.0.2.1"  # an address that is nobody's


@pytest.mark.parametrize("said", [None, "", "online", "run", "offline", "dryrun", "disabled", "shared", "nonsense"])
def test_no_mode_asks_or_hangs_without_a_key(
    said: str | None, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if said is not None:
        monkeypatch.setenv("WANDB_MODE", said)

    def ask(*_: object) -> str:
        raise AssertionError("it asked")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("getpass.getpass", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(1))
    logger.finish()
    assert not capsys.readouterr().err
    assert len(list(folder.path.glob("wandb/offline-run-*"))) == (0 if said == "disabled" else 1)
    assert os.environ.get("WANDB_MODE") == said


@pytest.mark.parametrize(
    ("option", "environment", "mode"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_MODE": "online"}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY}, "online"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": ""}, "online"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": " Offline "}, "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}, "disabled"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_DISABLED": "true"}, "disabled"),
        ("offline", {"WANDB_API_KEY": KEY, "WANDB_MODE": "online"}, "offline"),
        ("online", {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "online"),
        ("disabled", {"WANDB_API_KEY": KEY}, "disabled"),
    ],
)
def test_the_mode_is_decided_by_what_is_there(
    option: str, environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_wandb(tmp_path, monkeypatch)
    for name, value in environment.items():
        if name == "WANDB_API_KEY":  # W&B reads it itself, and rejects an empty WANDB_MODE
            monkeypatch.setenv(name, value)
    wandb.setup(wandb.Settings(silent=True))
    monkeypatch.setattr("lightdet.logger.wandb_mode.answers", lambda base_url: True)
    decided, reason = decide(option, environment, "https://api.example.org")
    assert decided == mode
    assert bool(reason) == (mode != "online")
    wandb.teardown()


def test_a_key_without_a_network_means_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightdet.logger.wandb_mode.answers", lambda base_url: False)
    assert decide("online", {}, SILENT, key=lambda: True)[0] == "offline"


def test_a_key_in_a_netrc_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"

    def known(netrc: Path | None, base_url: str = "https://api.wandb.ai") -> bool:
        forget_wandb(tmp_path, monkeypatch)
        monkeypatch.setenv("WANDB_BASE_URL", base_url)
        if netrc:
            monkeypatch.setenv("NETRC", str(netrc))
        wandb.setup(wandb.Settings(silent=True))
        return has_key()

    file.write_text(f"machine api.wandb.ai\n login user\n password {KEY}\n")
    file.chmod(0o600)
    assert known(file)
    assert not known(file, "https://other.example.org")
    assert not known(None)
    file.write_text("no netrc at all {")
    assert not known(file)
    wandb.teardown()


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers everything with 401, except /slow/..., which never answers in time."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(3)
        self.send_error(401)

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def refusing() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has left is no news
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_refusal_is_an_answer_and_silence_is_not(refusing: str) -> None:
    assert answers(refusing)
    began = time.monotonic()
    assert not answers(f"{refusing}/slow", seconds=0.3)
    assert not answers("http://127.0.0.1:9", seconds=0.3)
    assert not answers("no url", seconds=0.3)
    assert time.monotonic() - began < 2.5


def test_a_host_that_refuses_the_key_leaves_an_offline_run(
    folder: RunFolder, refusing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", refusing)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    logger = WandbLogger(folder, CONFIG)
    train(logger, range(2))
    logger.finish()
    assert "writes offline, online it refused" in capsys.readouterr().out
    assert len(of_kind(records(folder.path), "history")) == 4
    assert list(folder.path.glob("wandb/offline-run-*"))
