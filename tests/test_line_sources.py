"""What `predict` takes at a line: videos, cameras, watched folders, lists of paths. Nothing waits for ever."""

import http.server
import io
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from test_predict import CLASSES, Fixed, save

import lightdet.runtime.live
from lightdet.core.errors import LightdetError
from lightdet.engine.jobs import jobs_of
from lightdet.engine.predict import Wanted, predict
from lightdet.engine.predictor import Predictor
from lightdet.engine.summary import Summary
from lightdet.runtime.kinds import kinds
from lightdet.runtime.live import Live, without_password
from lightdet.runtime.video import Video
from lightdet.runtime.watched import Listed, Watched, is_whole


def film(path: Path, frames: int = 12) -> Path:
    """Frames of 64 x 48 px, each brighter than the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 8, np.uint8))
    writer.release()
    return path


def run(words: list[str], out: Path, watch: bool = False, idle: float | None = None, **wanted: Any) -> Summary:
    predictor = Predictor(Fixed(), CLASSES, 64, 0.5)  # type: ignore[arg-type]
    return predict(predictor, jobs_of(words, out, watch, idle), out, Wanted(pictures=False, **wanted))


def test_frames_have_a_number_and_a_time(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    summary = run([str(source)], tmp_path / "out")
    assert summary.whole and summary.images == 12
    places = [(entry["file"], entry["frame"], entry["seconds"]) for entry in summary.entries]
    assert places == [(str(source), number, pytest.approx(number / 25)) for number in range(12)]
    assert summary.entries[3]["name"] == "a-000003.jpg"


def test_damaged_frames_are_counted_and_the_rest_is_predicted(tmp_path: Path) -> None:
    content = bytearray(film(tmp_path / "a.avi").read_bytes())
    starts = [found.start() for found in re.finditer(b"00dc", content)][:12]
    for start in (starts[2], starts[7]):
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        content[start + 8 : start + 8 + size] = bytes(size)
    (tmp_path / "a.avi").write_bytes(content)
    summary = run([str(tmp_path / "a.avi")], tmp_path / "out")
    numbers = [entry["frame"] for entry in summary.entries]
    assert len(numbers) == 10 and numbers[-1] == 11 and not summary.whole
    assert "2 damaged frames without a prediction" in "\n".join(summary.troubles())
    assert summary.as_json()["source"] == {"damaged_frames": 2}


def test_a_video_that_is_cut_short_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = film(tmp_path / "a.avi", 30).read_bytes()
    (tmp_path / "a.avi").write_bytes(content[: len(content) // 2])
    monkeypatch.setattr("lightdet.runtime.video.MOST_DAMAGED", 5)
    video = Video(tmp_path / "a.avi")
    read = len(list(video.originals(None)))
    assert 0 < read < 30
    assert "nothing can be read behind frame" in video.missed()[1]


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for word, said in (("a.mp4", "no video that OpenCV can read"), ("b.mp4", "no such video")):
        with pytest.raises(LightdetError, match=said):
            jobs_of([str(tmp_path / word)], tmp_path / "out")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(LightdetError, match="a named pipe is no video"):
        jobs_of([str(tmp_path / "pipe.mp4")], tmp_path / "out")


def test_images_and_videos_of_one_call(tmp_path: Path) -> None:
    words = [str(film(tmp_path / "a.mp4", 3)), str(save(tmp_path / "b.png"))]
    entries = run(words, tmp_path / "out").entries
    assert [entry.get("frame") for entry in entries] == [None, 0, 1, 2], "images first"


@pytest.mark.parametrize("words", [["camera:0", "a.png"], ["-", "a.mp4"], ["a.png", "rtsp://host/a"]])
def test_nothing_follows_a_source_without_an_end(words: list[str]) -> None:
    with pytest.raises(LightdetError, match="does not end"):
        kinds(words)


def test_no_password_is_written() -> None:
    assert without_password("rtsp://me:secret@host:554/live?token=1") == "rtsp://host:554/live"


def test_a_camera_that_is_not_there_is_told_at_once() -> None:
    for word in ("camera:97", "http://127.0.0.1:9/none"):
        with pytest.raises(LightdetError, match="no camera or stream answers there"):
            Live(word)


class Camera(http.server.BaseHTTPRequestHandler):
    """Sends frames as MJPEG, up to 8 over a connection."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        picture = io.BytesIO()
        Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(picture, "JPEG")
        content = picture.getvalue()
        try:
            for _ in range(8):
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
                self.wfile.write(head.encode() + content + b"\r\n")
                time.sleep(0.02)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


def serve(port: int = 0) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_camera_that_goes_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lightdet.runtime.live, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(lightdet.runtime.live, "LONGEST_WAIT", 0.1)
    server = serve()
    port = server.server_address[1]
    live = Live(f"http://127.0.0.1:{port}/a.mjpeg", idle_seconds=20)
    frames = live.originals(None)
    numbers = [next(frames).frame.number]  # type: ignore[union-attr]
    server.shutdown()
    server.server_close()
    while live.lost == 0:  # what FFMPEG holds is read first
        time.sleep(0.02)
    back = serve(port)
    before = live.read
    while numbers[-1] < before:
        numbers.append(next(frames).frame.number)  # type: ignore[union-attr]
    live.close()
    back.shutdown()
    back.server_close()
    assert numbers == sorted(set(numbers)) and live.counts()["times_lost"] >= 1
    assert "gone; it is opened again" in (told := capsys.readouterr().err) and ": back" in told
    assert list(frames) == [], "closed"


def test_only_the_newest_frame_of_a_camera_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live.__new__(Live)
    live.name, live.read, live.dropped, live._newest, live._came = "camera:0", 0, 0, None, threading.Condition()
    for _ in range(5):
        live._put(np.zeros((2, 2, 3), np.uint8))
    assert (live.read, live.dropped) == (5, 4)
    assert live._newest is not None and live._newest[1].number == 4


def test_a_silent_camera_ends_after_the_idle_seconds(tmp_path: Path) -> None:
    server = serve()
    summary = run([f"http://127.0.0.1:{server.server_address[1]}/a.mjpeg"], tmp_path / "out", idle=0.3)
    server.shutdown()
    server.server_close()
    assert summary.images >= 1 and not summary.whole and "no frame for 0.3 s" in summary.troubles()[-1]
    assert {"frame", "time"} < set(summary.entries[0]) and summary.as_json()["source"]["frames_read"] >= summary.images


def written_slowly(path: Path) -> Iterator[None]:
    content = png()
    with open(path, "wb", buffering=0) as file:
        for part in (content[: len(content) // 2], content[len(content) // 2 :]):
            file.write(part)
            yield


def png() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_a_watched_folder_gives_each_image_once_and_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "a.png")
    source = Watched([str(folder)], idle_seconds=3)
    images = source.originals(None)
    assert next(images).path == folder / "a.png"
    slow = written_slowly(folder / "b.png")
    next(slow)
    threading.Timer(0.8, lambda: next(slow)).start()
    started = time.monotonic()
    second = next(images)
    assert second.path == folder / "b.png" and second.pixels.shape == (80, 80, 3)
    assert time.monotonic() - started > 0.7, "half of it is no image"
    source.close()
    assert list(images) == []


def test_a_restart_repeats_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightdet.runtime.watched.CUT", 0.4)
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "deep/a.png")
    (folder / "broken.png").write_bytes(png()[:-30])
    first = run([str(folder)], out, watch=True, idle=0.5)
    assert (first.images, first.missing) == (1, 1)
    with open(out / "predictions.jsonl", "a") as lines:
        lines.write('{"made_by": "lightdet predict", "id": 2, "fi')  # as kill -9 leaves it
    save(folder / "b.png")
    second = run([str(folder)], out, watch=True, idle=0.5)
    assert (second.images, second.missing) == (1, 0)
    assert [(entry["id"], entry["name"]) for entry in second.entries] == [(1, "deep/a.png"), (2, "b.png")]


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b"\xff\xd8\xff..\xff\xd9", True),
        (b"\xff\xd8\xff..\xff\xd9\0\0\0", True),
        (b"\xff\xd8\xff..", False),
        (b"\x89PNG..IEND\xaeB`\x82", True),
        (b"\x89PNG..", False),
        (b"BM\x08\0\0\0..", True),
        (b"BM\x09\0\0\0..", False),
        (b"RIFF\x04\0\0\0....", True),
        (b"RIFF\x05\0\0\0....", False),
        (b"II*\0....", False),
        (b"", False),
    ],
)
def test_a_half_file_is_told_by_its_format(content: bytes, whole: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert is_whole(tmp_path / "a", len(content), 0.3) == whole
    assert is_whole(tmp_path / "a", len(content), 60), "it is taken in the end, and reading it says what is wrong"


def test_paths_come_from_standard_input_one_by_one(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{name}.png") for name in "ab"]
    reading, writing = os.pipe()
    images = Listed(reading).originals(None)
    for path in paths:
        os.write(writing, f"{path}\n".encode())
        assert next(images).path == path, "it does not wait for the next line"
    os.write(writing, b"nowhere.png")
    os.close(writing)
    (last,) = images
    with pytest.raises(LightdetError, match=r"nowhere\.png: cannot read"):
        _ = last.pixels
    os.close(reading)
