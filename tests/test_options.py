"""Words of a command that are wrong: one line, in every command."""

import pytest

from lightdet.cli import main as cli


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("predict RUN a.png --treshold 0.5", "no option --treshold, did you mean --threshold?; `lightdet predict"),
        ("predict RUN a.png --threshold high", "--threshold: 'high' is no number; `lightdet predict --help`"),
        ("predict RUN", "source: missing; `lightdet predict --help`"),
        ("evaluate RUN --flips up", "--flips: invalid choice: 'up'"),
        ("train --cfg everything", "--cfg/-c: invalid choice: 'everything'"),
        ("report STUDY other", "'other' is one word too many; `lightdet report --help`"),
        ("study STUDY publish --mode never", "--mode: invalid choice: 'never'"),
        ("threshold RUN --escape", "--escape: expected one argument"),
        ("benchmark --rounds many", "--rounds: 'many' is no whole number"),
        ("export RUN --four", "no option --four"),
        ("search space --trails", "no option --trails"),
        ("doctor --fixx", "did you mean --fix?"),
        ("convert --to", "no option --to"),
        ("explain", "run, source: missing"),
    ],
)
def test_a_wrong_option_is_one_line(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    shown = capsys.readouterr()
    assert told in shown.err and shown.err.count("\n") == 1 and not shown.out
