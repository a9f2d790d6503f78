"""What a person learns of a training's length: too few steps before it starts, and how long it will take."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from lightdet.callback.estimate import Estimate, in_words
from lightdet.config.compose import compose_config
from lightdet.engine.few_steps import few_steps


def test_few_steps_are_those_of_the_optimizer() -> None:
    words = ["trainer.max_epochs=10", "data.batch_size=8"]
    assert few_steps(compose_config(words), 240) == "", "30 steps an epoch"
    assert few_steps(compose_config(words), 239).startswith("290 optimizer steps are too few")
    accumulated = few_steps(compose_config([*words, "trainer.accumulate=4"]), 240)
    assert accumulated.startswith("70 optimizer steps") and "trainer.max_epochs to 43 or more" in accumulated
    assert few_steps(compose_config([*words, "trainer.limit_train_batches=1"]), 8) == "", (
        "a deliberate part of the data"
    )


def trainer(**settings: Any) -> Any:
    return SimpleNamespace(is_global_zero=True, current_epoch=0, **settings)


@pytest.mark.parametrize(("seconds", "lines"), [(3.0, 1), (0.1, 0)])
def test_a_long_training_is_announced_once(
    seconds: float, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """40 epochs of 100 batches of 3 s: 3 h 20 min; of .1 s each they take less than ten minutes."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    estimate = Estimate()
    for index in range(100):
        clock[0] += seconds
        estimate.on_train_batch_end(trainer(max_epochs=40, num_training_batches=100), None, None, None, index)  # type: ignore[arg-type]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == lines
    assert not lines or told[0] == "  time       about 3 h 20 min for 40 epochs, validation apart"


def test_an_estimate_is_rounded() -> None:
    assert [in_words(60 * minutes) for minutes in (12, 59, 61, 130, 24 * 60 * 3 + 245)] == [
        "12 min",
        "59 min",
        "1 h",
        "2 h 10 min",
        "3 d 4 h",
    ]
