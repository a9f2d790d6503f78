"""Signs of life: while a training is healthy, its launcher hears of it, in whatever phase it is."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightdet.config.compose import compose_config
from lightdet.engine import fit as fitting
from lightdet.engine import train as training
from lightdet.runs import folder as run
from lightdet.runs.folder import RunFolder

TINY = (
    *("data.reader.train_images=8", "data.reader.val_images=12", "data.reader.size=96", "data.batch_size=4"),
    *("image_size=64", "debug=one_step", "trainer.precision=32-true", "trainer.channels_last=false"),
    *("trainer.device=cpu", "trainer.progress=none", "width=0.125", "logger=none"),
)


class Listener:
    """Looks whether the status was written since it looked last, as a launcher does."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.heard: list[tuple[str, bool]] = []

    def look(self, phase: str) -> None:
        self.heard.append((phase, self.folder.status_path.stat().st_mtime > 0))
        os.utime(self.folder.status_path, (0, 0))


def test_what_takes_long_is_heard_of_at_its_ends_and_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_status("running", epoch=4)
    for beat, expected in ((0.0, [True, True, True]), (1000.0, [True, False, False])):
        monkeypatch.setattr(run, "BEAT", beat)
        listener = Listener(folder)
        os.utime(folder.status_path, (0, 0))
        for item in folder.beating("abc"):
            listener.look(item)
        listener.look("the end")
        assert [heard for _, heard in listener.heard] == [*expected, True]
        assert [phase for phase, _ in listener.heard] == ["a", "b", "c", "the end"]
    assert folder.read_status()["epoch"] == 4
    assert list(folder.beating([])) == []


def test_a_training_is_heard_of_in_every_phase_and_while_it_is_measured_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_status("running")
    listener = Listener(folder)
    monkeypatch.setattr(run, "BEAT", 0.0)

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def begin(*arguments: Any, **named: Any) -> Any:
            listener.look(name)
            assert name != "plot_training" or folder.read_results()["classes"], "results first"
            return call(*arguments, **named)

        return begin

    def measured(detector: Any, batches: Iterable[Any], *rest: Any) -> Any:
        def each() -> Iterator[Any]:
            for batch in batches:
                listener.look("batch")
                yield batch

        return measure(detector, each(), *rest)

    measure = training.measure
    for name in ("quick_check", "_precision", "build_trainer", "load_weights", "plot_training"):
        room = fitting if name == "build_trainer" else training
        monkeypatch.setattr(room, name, watched(name, getattr(room, name)))
    monkeypatch.setattr(training, "measure", measured)
    tracked: list[Any] = []
    monkeypatch.setattr(training, "build_loggers", lambda cfg, _: tracked.append(cfg) or [])
    training.train(compose_config([*TINY, f"data.reader.cache={tmp_path}"]), folder)
    phases = ["quick_check", "_precision", "build_trainer", "load_weights", *["batch"] * 3, "plot_training"]
    assert listener.heard == [(phase, True) for phase in phases]
    assert tracked[0].num_classes == len(tracked[0].classes) > 0  # trackers get what the data resolved
