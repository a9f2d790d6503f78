"""What `predict` takes, where it writes, and what stays when it ends early."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_predict import CLASSES, Fixed, Loaded, predict_with, run, save
from torch import Tensor

import lightdet.engine.predict
import lightdet.engine.predictor
from lightdet.cli.main import main
from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections
from lightdet.engine.image_files import find_images
from lightdet.engine.picture_files import picture_names
from lightdet.runtime.found import Found
from lightdet.runtime.sources import originals


def names(source: Path | str) -> list[str]:
    return [path.name for path in Found().search(str(source))]


def left(source: Path) -> str:
    found = Found()
    found.search(str(source))
    return "\n".join(found.left_out.lines())


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_two_processes_do_not_predict_into_one_folder(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png")
    run(tmp_path / "in", tmp_path / "out")
    before = lines(tmp_path / "out")
    program = (
        "import sys; from pathlib import Path; from lightdet.core.files import locked\n"
        f"with locked(Path({str(tmp_path / 'out' / '.lock')!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(LightdetError, match=rf"another predict \(process {other.pid}\) writes there"):
            run(tmp_path / "in", tmp_path / "out")
        other.communicate("")
    assert lines(tmp_path / "out") == before
    run(tmp_path / "in", tmp_path / "out")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png")
    with pytest.raises(LightdetError, match="cannot be made"):
        run(tmp_path / "in", Path("/proc/nothing"))


@pytest.mark.parametrize(
    "images",
    [
        ["a.bmp", "a.bmp.png", "a.tif"],
        ["a.jpg", "a.png", "A.PNG", "a.PNG"],
        ["x/a.png", "x_a.png", "X/a.png"],
        ["a.bmp", "a.bmp.png/b.png", "a.bmp-2.png"],
        ["e\u0301.png", "\u00e9.png"],
        ["n" * 251 + ".png", "n" * 250 + "m.png", "n" * 251 + ".bmp", "\u4e00" * 80 + ".bmp"],
    ],
)
def test_every_image_has_a_picture_of_its_own(images: list[str]) -> None:
    pictures = picture_names(images)
    folded = {name.casefold() for name in pictures.values()}
    assert len(folded) == len(images) == len(pictures)
    assert not any(name.startswith(f"{other}/") for name in folded for other in folded)
    assert all(len(os.fsencode(part)) < 240 for name in folded for part in name.split("/"))
    assert picture_names(images[::-1]) == pictures, "their order does not count"


def test_two_images_that_differ_in_the_suffix_are_both_drawn(tmp_path: Path) -> None:
    for name, height in (("a.bmp", 50), ("a.bmp.png", 80)):
        save(tmp_path / "in" / name, height=height)
    summary = run(tmp_path / "in", tmp_path / "out")
    drawn = [entry["picture"] for entry in summary.entries]
    assert len(set(drawn)) == 2
    for entry in summary.entries:
        width, height = Image.open(tmp_path / "out" / entry["picture"]).size
        assert height / width == pytest.approx(entry["height"] / entry["width"], abs=0.02)


@pytest.mark.parametrize("link", ["pictures", "pictures/x", "pictures/a.png"])
def test_nothing_is_drawn_through_a_link(link: str, tmp_path: Path) -> None:
    image = save(tmp_path / "in/a.png")
    save(tmp_path / "in/x/a.png")
    before = image.read_bytes()
    (tmp_path / "out" / link).parent.mkdir(parents=True)
    (tmp_path / "out" / link).symlink_to(image if link.endswith(".png") else tmp_path / "in")
    with pytest.raises(LightdetError, match="give another folder with --out"):
        find_images([str(tmp_path / "in")], tmp_path / "out")
    assert image.read_bytes() == before


@pytest.mark.parametrize("name", ["pictures/a.png", "predictions.json", "predictions.jsonl", "predictions.coco.json"])
def test_a_file_of_someone_else_is_not_overwritten(name: str, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"images": []}')
    with pytest.raises(LightdetError, match=f"{name}: not made by `lightdet predict`"):
        run(tmp_path / "in", tmp_path / "out")
    assert mine.read_text() == '{"images": []}'
    assert len(list((tmp_path / "out").rglob("*.*"))) == 1, "it stops before it computes"
    mine.unlink()
    for _ in range(2):  # its own files are replaced
        assert len(run(tmp_path / "in", tmp_path / "out").entries) == 1


@pytest.mark.parametrize("out", ["", "results", "deep/er"])
def test_pictures_of_earlier_predictions_are_no_images(out: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "deep/b.png")
    for folder in (out, out, "other"):
        assert len(run(tmp_path, tmp_path / folder).entries) == 2
    assert "4 pictures that an earlier prediction drew" in left(tmp_path)
    assert len(Found().search(str(tmp_path / out / "pictures"))) == 2, "who names them means them"
    found = Found()
    assert len(found.search(str(tmp_path / "**/*.png"))) == 2 and len(found.left_out) > 2


def test_what_is_no_image_is_counted_and_never_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "in/a.png")
    for hidden in (".ipynb_checkpoints/a.png", "@eaDir/a.png", "__MACOSX/a.png", "._a.png"):
        save(tmp_path / "in" / hidden)
    (tmp_path / "in/a.txt").touch()
    os.mkfifo(tmp_path / "in/pipe")
    found = Found()
    assert [path.name for path in found.search(str(tmp_path / "in"))] == ["a.png"] and found.whole
    assert "4 images that no person made" in left(tmp_path / "in")
    assert "2 files of other kinds among the images" in left(tmp_path / "in")
    (tmp_path / "in/c.HEIC").touch()
    (tmp_path / "in/folder.png").mkdir()
    os.mkfifo(tmp_path / "in/pipe.png")
    monkeypatch.chdir(tmp_path / "in")  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.bmp")
    for source in (tmp_path / "in", tmp_path / "in/*"):
        found = Found()
        assert [path.name for path in found.search(str(source))] == ["a.png"] and not found.whole
        for said in ("(a named pipe), e.g.", "(a socket), e.g.", "1 .heic files, a kind that is not read"):
            assert said in "\n".join(found.left_out.lines())
    for source in (Path("pipe.png"), Path("socket.bmp")):
        with pytest.raises(LightdetError, match=r"a (named pipe|socket) is no image"):
            names(source)
    with pytest.raises(LightdetError, match=r"no image there.*left out: 1 files of other kinds"):
        names(tmp_path / "in/*.txt")


def test_the_api_says_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "b\x1b[2J.heic").touch()
    assert len(list(originals(tmp_path))) == 1
    assert "1 .heic files, a kind that is not read" in (told := capsys.readouterr().err) and "b\\x1b[2J.heic" in told


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`lightdet predict` with a model that answers at once."""

    def start(model: Any = None) -> int:
        monkeypatch.setattr(
            lightdet.engine.predictor, "load_run", lambda *_, **__: Loaded(model or Fixed(), CLASSES, 64)
        )
        monkeypatch.setattr(lightdet.engine.predictor, "folded", lambda detector, _: detector)
        (tmp_path / "config.yaml").touch()
        return main(["predict", str(tmp_path), str(tmp_path / "in"), "--out", str(tmp_path / "out")])

    return start


def test_what_was_predicted_until_an_interruption_stays(
    tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Fixed):
        def predict(self, images: Tensor) -> list[Detections]:
            if images.max() == 1:  # that of c, whichever thread comes first
                raise KeyboardInterrupt
            return super().predict(images)

    for name in "abcd":
        save(tmp_path / f"in/{name}.png")
    Image.fromarray(np.full((50, 100, 3), 255, dtype=np.uint8)).save(tmp_path / "in/c.png")
    (tmp_path / "in/0.png").touch()
    assert command(Interrupted()) == 130
    assert [Path(line["file"]).name for line in lines(tmp_path / "out")] == ["0.png", "a.png", "b.png"]
    assert "empty" in lines(tmp_path / "out")[0]["reason"] and lines(tmp_path / "out")[1]["boxes"]
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    assert written["complete"] is False and len(written["images"]) == 2
    assert "predictions.jsonl has what was predicted" in capsys.readouterr().err
    assert command() == 1, "an image was skipped"
    assert len(lines(tmp_path / "out")) == 5 and json.loads((tmp_path / "out/predictions.json").read_text())["complete"]


def test_a_full_disk_takes_nothing_that_was_predicted(
    tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in "ab":
        save(tmp_path / f"in/{name}.png")
    with monkeypatch.context() as disk:
        disk.setattr(lightdet.engine.predict, "save_picture", full)
        assert command() == 1
        told = capsys.readouterr().err
        assert "no picture of" in told and "the disk is full" in told and len(lines(tmp_path / "out")) == 2
        disk.setattr(lightdet.engine.sink.contract, "staged", full)
        dumps = json.dumps
        disk.setattr(json, "dumps", lambda value: full() if "b.png" in value["file"] else dumps(value))
        assert command() == 1
    assert "ended after 2 of 2 images: the disk is full" in capsys.readouterr().err
    assert [Path(line["file"]).name for line in lines(tmp_path / "out")] == ["a.png"]


def test_names_do_not_reach_the_terminal_as_they_are(
    tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/\x1b]0;x\x07\u202eb.png").touch()
    assert command() == 1
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err and "\\x1b]0;x\\x07\\u202eb.png: the file is empty" in told.err
    summary = predict_with(Fixed(), tmp_path / "in/a.png", tmp_path / "other", 0.5)
    summary.names["\x1b[31mred"] = 1
    assert "\\x1b[31mred 1" in summary.as_text()
