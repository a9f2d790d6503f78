"""The form of class names on the command line that a refusal shows is one that works."""

import shlex
from pathlib import Path

import pytest
from tiny_datasets import write_voc

from lightdet.cli.main import BAD_INPUT, main
from lightdet.config.compose import compose_config
from lightdet.config.list_word import names_in

WRONG = {
    "[Ölfleck,Kratzer]": ["Ölfleck", "Kratzer"],
    "[打痕,划痕]": ["打痕", "划痕"],
    "[لکه,خراش]": ["لکه", "خراش"],
    "[hole (d>0.5mm),A]": ["hole (d>0.5mm)", "A"],
    "[hole (a, b),A]": ["hole (a, b)", "A"],
    '"[Ölfleck,Kratzer]"': ["Ölfleck", "Kratzer"],
    "[1,2]": ["1", "2"],
    "[true,null]": ["true", "null"],
    "[it's,b]": ["it's", "b"],
}


@pytest.mark.parametrize("value", WRONG)
def test_the_form_that_is_shown_is_one_that_works(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voc(tmp_path / "data")
    words = ["data=voc", f"data.reader.root={tmp_path / 'data'}", "data.reader.images=IMAGES"]
    words += ["data.reader.annotations=ANNOTATIONS", f"runs_dir={tmp_path}"]
    assert main(["doctor", *words, f"data.reader.classes={value}"]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    shown = next(word for word in shlex.split(line[line.rindex("data.reader.classes=") - 1 :]) if "=[" in word)
    assert list(compose_config([*words, shown], None).data.reader.classes) == WRONG[value]


def test_names_in_a_text_that_was_meant_as_a_list() -> None:
    assert names_in("[a, b (c, d),\"e,f\", 'g']") == ["a", "b (c, d)", "e,f", "g"]
    assert names_in("dent") == ["dent"]
