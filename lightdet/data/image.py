"""Reading one photo, whatever a camera wrote, as the 8-bit RGB that everything else expects."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from lightdet.error import LightdetError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".jp2"})
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")  # no EPS: Pillow runs a program for it
TWELVE_BIT_MAX = 4095
SIXTEEN_BIT_MAX = 65535
EXIF_ORIENTATION = 0x0112
TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises


def read_photo(path: Path) -> np.ndarray:
    """The photo as (H, W, 3) uint8 RGB, contiguous.

    Grey, 1-bit and palette images become RGB, alpha is dropped, the EXIF orientation is applied (the frame of the
    boxes is the photo as a viewer shows it). An image of 16 bits per channel is scaled linearly, with one of two
    fixed factors and not by its own contrast, so that photos of one camera stay comparable: values up to 4095 are
    taken for a 10- or 12-bit camera (4095 becomes 255), anything brighter for 16 bits (65535 becomes 255).

    Raises LightdetError for a missing, empty, truncated or foreign file, and for floating-point pixels.
    """
    content = _read_bytes(path)
    try:
        with _open(content) as image:
            upright = _orientation(image) == 1
            image.load()
            if _is_deep_colour_png(content):
                return _read_deep_colour(content, path)
            return _to_rgb(image if upright else ImageOps.exif_transpose(image), path)
    except Image.UnidentifiedImageError as error:
        if content[:4] in (b"II*\0", b"MM\0*"):  # a TIFF of 16-bit colour: Pillow has no mode for it
            return _read_deep_colour(content, path)
        raise LightdetError(f"{path}: not a readable image; convert it to PNG or JPEG, or remove it") from error
    except UNREADABLE as error:
        raise LightdetError(f"{path}: broken image ({_one_line(error)}); replace or remove it") from error


def photo_size(path: Path) -> tuple[int, int]:
    """Height and width in px of the photo that `read_photo` returns, from the file's header alone.

    Raises LightdetError for a missing, empty or foreign file; a truncated one is found only by `read_photo`.
    """
    try:
        with path.open("rb") as file, _open(file) as image:
            width, height = image.size
            turned = _orientation(image) in TURNED
    except FileNotFoundError as error:
        raise LightdetError(f"{path}: no such image; restore it or remove its label") from error
    except UNREADABLE:
        height, width = read_photo(path).shape[:2]  # says what is wrong; reads the deep TIFFs that Pillow does not open
        return height, width
    return (width, height) if turned else (height, width)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LightdetError(f"{path}: cannot read this image ({error.strerror or error})") from error
    if not content:
        raise LightdetError(f"{path}: the file is empty (0 bytes); replace or remove it")
    return content


def _open(source: io.BufferedReader | bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # line-scan cameras write large photos
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1..8, that is still to be applied to an image which is not loaded yet."""
    if image.format == "TIFF":  # Pillow turns it as it loads it, and tells the size as turned
        return 1
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would load it to look behind its pixels
        return 1
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def _to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode == "F":
        raise LightdetError(f"{path}: floating-point pixels have no known range; save it with 8 or 16 bits per channel")
    if image.mode.startswith("I"):
        return cv2.cvtColor(_to_eight_bits(np.asarray(image)), cv2.COLOR_GRAY2RGB)
    if image.mode in ("1", "L"):  # three times faster than Pillow's own way to RGB
        return cv2.cvtColor(np.asarray(image.convert("L")), cv2.COLOR_GRAY2RGB)
    return np.array(image.convert("RGB"))


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    limit = TWELVE_BIT_MAX if values.max(initial=0) <= TWELVE_BIT_MAX else SIXTEEN_BIT_MAX
    return (values.clip(0, limit).astype(np.float32) * (255 / limit) + 0.5).astype(np.uint8)


def _is_deep_colour_png(content: bytes) -> bool:
    """PNG of 16 bits per channel in colour type 2 (RGB), 4 (LA) or 6 (RGBA): Pillow would keep only the high bytes."""
    return content.startswith(b"\x89PNG") and content[24:25] == b"\x10" and content[25:26] in (b"\2", b"\4", b"\6")


def _read_deep_colour(content: bytes, path: Path) -> np.ndarray:
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # we say what is wrong, in one line
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise LightdetError(f"{path}: broken image; replace or remove it") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None or values.dtype not in (np.uint8, np.uint16):
        raise LightdetError(f"{path}: broken or unsupported image; save it with 8 or 16 bits per channel")
    values = np.ascontiguousarray(values[..., ::-1])
    return values if values.dtype == np.uint8 else _to_eight_bits(values)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
