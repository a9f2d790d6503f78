"""What is refused or told before torch is imported, and before a run folder exists."""

from pathlib import Path

import pytest

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.config.judge import judge
from lightdet.core.errors import LightdetError
from lightdet.data.labels import checked_classes
from lightdet.study import single


@pytest.mark.parametrize("data", ["folder", "csv"])
def test_a_detector_on_classes_of_images(data: str, tmp_path: Path) -> None:
    words = [f"data={data}", f"data.reader.root={tmp_path}"]
    with pytest.raises(LightdetError, match="needs boxes; give a classifier, such as model=light_classifier"):
        judge(compose_config(words), words)
    words.append("model=light_classifier")
    judge(compose_config(words), words)


@pytest.mark.parametrize("name", ["${y}", "a ${oc.env:HOME}", "???"])
def test_a_class_with_a_name_that_a_configuration_would_replace(name: str) -> None:
    with pytest.raises(LightdetError, match=r"class 1 is .*rename it"):
        checked_classes(["dent", name], "labels.csv")


def test_a_new_name_of_settings_that_have_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    monkeypatch.setattr(single, "work", lambda folder, train: None)
    assert main(["train", "name=old"]) == 0
    assert "which is taken" not in capsys.readouterr().out
    assert main(["train", "name=new"]) == 0
    assert "name=new: these settings have a run, named old, which is taken" in capsys.readouterr().out
