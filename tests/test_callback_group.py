"""Lightning callbacks from outside: an option file and a module, taken in by the command line."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from test_end_to_end import TINY

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.engine.callbacks import build_callbacks
from lightdet.runs.fingerprint import fingerprint

MODULE = """
from pathlib import Path
from pytorch_lightning import Callback

class Note(Callback):
    def __init__(self, word: str) -> None:
        self.word = word

    def on_train_start(self, trainer, module) -> None:
        places = [type(one).__name__ for one in trainer.callbacks]
        Path("notes.txt").open("a").write(f"{self.word} {places.index('Note') < places.index('Ema')}\\n")
"""
OPTIONS = {
    "first": "# @package callback.first\n_target_: outside_callback.Note\nword: one\n",
    "second": "# @package callback.second\n_target_: outside_callback.Note\nword: two\n",
    "wrong": "# @package callback.wrong\n_target_: builtins.dict\n",
    "misplaced": "_target_: outside_callback.Note\nword: one\n",
}


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "outside_callback.py").write_text(MODULE)
    (tmp_path / "options/callback").mkdir(parents=True)
    for name, text in OPTIONS.items():
        (tmp_path / f"options/callback/{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return ["train", "--config-dir", "options", *TINY, f"data.reader.cache={tmp_path}/cache"]


def test_two_callbacks_from_outside_run_in_front_of_the_frameworks_own(words: list[str], tmp_path: Path) -> None:
    assert main([*words, "callback=[first,second]"]) == 0
    assert (tmp_path / "notes.txt").read_text() == "one True\ntwo True\n"
    (status,) = Path("runs").glob("*/*/s0/status.json")
    assert json.loads(status.read_text())["choices"]["callback"] == "first,second"


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("wrong", "callback.wrong: dict is no Lightning callback; derive it from pytorch_lightning.Callback"),
        ("misplaced", "callback: the file of this option names no place; its first line must be `# @package callback."),
    ],
)
def test_what_is_no_callback_is_one_line(
    words: list[str], option: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, f"callback={option}"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"lightdet: {line}")


def test_a_callback_counts_in_the_fingerprint_and_none_does_not(tmp_path: Path, words: list[str]) -> None:
    plain = compose_config([])
    assert build_callbacks(plain) == []
    before = plain.copy()
    OmegaConf.set_struct(before, False)
    del before["callback"]
    assert fingerprint(plain) == fingerprint(before), "of a run from before there was the group"
    assert fingerprint(compose_config(["callback=first"], tmp_path / "options")) != fingerprint(plain)
