"""Images of every depth, colour and orientation become the same pixels; unreadable ones are reported first cause."""

import os
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.data.image import is_deep, original_size, read_image, read_mask


def test_photos_of_every_depth(tmp_path: Path) -> None:
    eight = np.array([[0, 1, 128, 255]], np.uint8)
    colour = np.stack((eight, eight[:, ::-1], np.full_like(eight, 7)), axis=2)
    grey = np.repeat(eight[..., None], 3, axis=2)
    sixteen = eight.astype(np.uint16) * 257
    alpha = np.dstack((colour, np.array([[0, 9, 99, 255]], np.uint8)))
    Image.fromarray(eight).save(tmp_path / "grey.png")
    Image.fromarray(sixteen).save(tmp_path / "grey16.png")
    Image.fromarray(sixteen).save(tmp_path / "grey16.tif")
    Image.fromarray(colour).save(tmp_path / "colour.png")
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    Image.fromarray(colour).quantize(4).save(tmp_path / "palette.gif")
    deep = colour[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "colour16.png"), deep)
    cv2.imwrite(str(tmp_path / "colour16.tif"), deep)
    expected = {"colour16.png": colour, "colour16.tif": colour, "colour.png": colour, "alpha.png": colour}
    expected |= {"grey.png": grey, "grey16.png": grey, "grey16.tif": grey, "palette.gif": colour}
    for name, pixels in expected.items():
        photo = read_image(tmp_path / name)
        np.testing.assert_array_equal(photo, pixels, err_msg=name)
        assert photo.dtype == np.uint8 and photo.flags.c_contiguous and photo.flags.writeable
        assert original_size(tmp_path / name) == (1, 4)
        assert is_deep(tmp_path / name) == ("16" in name)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_with_transparent_colours_is_read_without_a_warning(suffix: str, tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([255, 0, 0, 10, 20, 30, 0, 0, 255])
    path = tmp_path / f"palette.{suffix}"
    image.save(path, transparency=bytes([255, 0, 128]) if suffix == "png" else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).tolist() == [[[255, 0, 0], [10, 20, 30], [0, 0, 255]]]


def test_one_bit_and_twelve_bit_photos(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bit.png")
    assert read_image(tmp_path / "bit.png")[0, :, 0].tolist() == [255, 0]
    Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)).save(tmp_path / "twelve.png")
    assert read_image(tmp_path / "twelve.png")[0, :, 2].tolist() == [0, 128, 255]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_bits_of_the_camera_are_white_and_what_is_brighter_too(suffix: str, colour: bool, tmp_path: Path) -> None:
    values = np.array([[0, 512, 1023, 1024, 60000]], np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), np.repeat(values[..., None], 3, axis=2) if colour else values)
    for bits, greys in ((10, [0, 128, 255, 255, 255]), (12, [0, 32, 64, 64, 255]), (16, [0, 2, 4, 4, 233])):
        photo = read_image(tmp_path / f"a.{suffix}", bits)
        assert photo.tolist() == [[[grey] * 3 for grey in greys]]


def test_bits_of_the_camera_leave_an_eight_bit_photo_alone(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 7, 255]], np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 12)[0, :, 0].tolist() == [0, 7, 255]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_the_exif_orientation_is_applied(suffix: str, tmp_path: Path) -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif, lossless=True)
    photo = read_image(path)
    assert photo.shape == (16, 8, 3) and original_size(path) == (16, 8)
    assert photo[:8].max() == 0 and photo[8:].min() == 255


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_photo_is_told_first_cause(suffix: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(LightdetError) as caught:
        read_image(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_eight_bits_in_sixteen(tmp_path: Path) -> None:
    values = np.array([[0, 7, 128, 255, 256]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 8)[0, :, 0].tolist() == [0, 7, 128, 255, 255]


def test_images_beyond_pillows_limit_are_read_up_to_one_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400), dtype=np.uint8)
    for name in ("a.png", "a.jpg", "a.tif", "a.bmp", "a.webp", "a.pgm"):
        Image.fromarray(pixels).save(tmp_path / name)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 120,000 px are more than twice as many
        assert read_image(tmp_path / name).shape == (300, 400, 3) and original_size(tmp_path / name) == (300, 400)
        with monkeypatch.context() as limited:
            limited.setenv("LIGHTDET_MAX_MEGAPIXELS", "0.1")
            for read in (read_image, original_size):
                with pytest.raises(LightdetError, match=r"400 x 300 px .* limit of 0\.1; .*LIGHTDET_MAX_MEGAPIXELS=1 "):
                    read(tmp_path / name)
            assert not is_deep(tmp_path / name)
            limited.setenv("LIGHTDET_MAX_MEGAPIXELS", "many")
            with pytest.raises(LightdetError, match="LIGHTDET_MAX_MEGAPIXELS=many: give a number"):
                read_image(tmp_path / name)


def test_images_of_another_kind_under_the_name_of_one_that_is_read(tmp_path: Path) -> None:
    for brand, kind in (("heic", "HEIC"), ("avif", "AVIF"), ("mp42", "a video")):
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand.encode() + bytes(200))
        with pytest.raises(LightdetError, match=f"a.jpg: not a readable image but {kind}; convert it"):
            read_image(tmp_path / "a.jpg")


def test_a_pipe_or_a_folder_in_place_of_an_image_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, what in (("pipe.png", "a named pipe"), ("folder.png", "a folder")):
        for read in (read_image, original_size, read_mask):
            with pytest.raises(LightdetError, match=f"{name}: {what} where an image is expected"):
                read(tmp_path / name)
        assert not is_deep(tmp_path / name)


def test_other_unreadable_photos(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    for name, reason in (("float.tif", "floating-point"), ("script.eps", "not a readable image"), ("none.png", "")):
        with pytest.raises(LightdetError, match=f"{name}: .*{reason}"):
            read_image(tmp_path / name)
    with pytest.raises(LightdetError, match="no such image"):
        original_size(tmp_path / "none.png")


def test_values_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    for values in ([0, 70_000], [-1, 5]):
        Image.fromarray(np.array([values], np.int32)).save(tmp_path / "a.tif")
        with pytest.raises(LightdetError, match=r"a\.tif: values outside 0 \.\.\. 65535"):
            read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [None, 10])
def test_a_pgm_states_its_brightest_value(bits: int | None, tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 1023\n" + np.array([0, 512], ">u2").tobytes())
    assert read_image(tmp_path / "a.pgm", bits)[0, :, 0].tolist() == [0, 128]
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + np.array([0, 512], ">u2").tobytes())
    assert read_image(tmp_path / "a.pgm", bits)[0, 1, 0] == (32 if bits is None else 128)
