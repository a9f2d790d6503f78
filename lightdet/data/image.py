"""Reads an image of any supported format as the 8-bit RGB that all other code expects.

OpenCV is imported where it is needed: the runtime of exported files does without it for most images.
"""

import io
import math
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile

from lightdet.core.errors import LightdetError
from lightdet.core.regular import no_file
from lightdet.data.beside_pillow import is_deep_colour, read_deep_colour, read_jpeg

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe")
IMAGE_SUFFIXES = frozenset(
    {*JPEG_SUFFIXES, ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".jp2"}
)
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")  # no EPS: Pillow runs a program for it
TWELVE_BIT_MAX = 4095
SIXTEEN_BIT_MAX = 65535
EXIF_ORIENTATION = 0x0112
TIFF_STARTS = (b"II*\0", b"MM\0*")
LARGEST = "LIGHTDET_MAX_MEGAPIXELS"  # environment variable: images with more pixels are refused
LARGEST_MEGAPIXELS = 500.0  # where it is not set; 1.5 GB when decoded
OTHER_KINDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF"}  # after "ftyp"
HOLD_SEVERAL = ("TIFF", "GIF", "WEBP", "PNG")  # a JPEG of several (MPO) has previews behind its image
TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises


def read_image(path: Path, bits: int | None = None) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB, contiguous.

    Grey, 1-bit and palette images become RGB, alpha is dropped, the EXIF orientation is applied (the frame of the boxes
    is the image as a viewer shows it). An image of 16 bits per channel is scaled linearly, with a fixed factor and not
    by its own contrast: 2**bits - 1 becomes 255, and what is brighter is white, so that a camera's hot pixel changes
    nothing around it. Without `bits` (8 to 16) the brightest value of each image decides: up to 4095 means 12 bits,
    beyond that 16; images of one camera are then comparable only where that gives the same depth. A PGM states its
    brightest value itself, which becomes 255; where that is 65535, it is as other images of 16 bits.

    Raises LightdetError for a missing, empty, truncated or foreign file, for floating-point pixels, for values beyond
    16 bits, and for an image of more megapixels than the environment variable LIGHTDET_MAX_MEGAPIXELS (500 where it is
    not set).
    """
    return to_eight_bits(read_values(path), bits)


def read_values(path: Path) -> np.ndarray:
    """The values that `read_image` scales: (H, W, 3) uint8 RGB or, of more than 8 bits per channel, (H, W) or (H, W, 3)
    of a wider type with the values of the file, upright. Raises LightdetError as `read_image` does."""
    content = _read_bytes(path)
    try:
        with _open(content, path) as image:
            upright = _orientation(image) == 1
            scaled = isinstance(image, PpmImageFile) and image.mode == "I" and image.tile[0][0] == "ppm"
            plain = image.format == "JPEG" and image.mode in ("L", "RGB") and upright
            if plain and (pixels := read_jpeg(content)) is not None:
                return pixels
            image.load()
            if scaled:  # Pillow has made 65535 of the brightest value, which the header of a PGM states
                return to_eight_bits(np.asarray(image), 16)
            if is_deep_colour(image, content):
                return read_deep_colour(content, path)
            return to_array(image if upright else ImageOps.exif_transpose(image), path)
    except Image.UnidentifiedImageError as error:
        if content[:4] in TIFF_STARTS:  # a TIFF of 16-bit colour: Pillow has no mode for it
            return read_deep_colour(content, path)
        kind = f" but {OTHER_KINDS.get(content[8:12], 'a video')}" if content[4:8] == b"ftyp" else ""
        raise LightdetError(f"{path}: not a readable image{kind}; convert it to PNG or JPEG, or remove it") from error
    except UNREADABLE as error:
        raise LightdetError(f"{path}: broken image ({_one_line(error)}); replace or remove it") from error


def as_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W, channels): 3 as it is, 1 in grey levels."""
    if channels == 3:
        return image
    import cv2

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 -> (H, W, 3), where it was grey a copy."""
    if pixels.ndim == 3:
        return pixels
    try:
        import cv2
    except ImportError:
        return np.repeat(pixels[..., None], 3, axis=2)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)  # twenty times faster


def read_mask(path: Path) -> np.ndarray:
    """The class of every pixel as (H, W) uint8: 0 = background, k + 1 = class k.

    Raises LightdetError for a file that cannot be read, and for one that has not a single channel of 8 bits.
    """
    try:
        with _open(_read_bytes(path), path) as image:
            image.load()
            if image.mode not in ("1", "L", "P"):
                raise LightdetError(f"{path}: a mask has one channel of 8 bits, not {image.mode}; save it as such")
            return np.array(image, dtype=np.uint8)
    except UNREADABLE as error:
        raise LightdetError(f"{path}: broken mask ({_one_line(error)}); replace or remove it") from error


class Header(NamedTuple):
    """What the header of an image file says."""

    height: int  # px, of the image that `read_image` returns: turned as its orientation says
    width: int  # px
    orientation: int  # EXIF, 1..8: how the stored pixels are to be turned; 1 where they are upright
    format: str = ""  # of the content, one of FORMATS; "" where Pillow does not know it
    several: bool = False  # further pages or frames follow the one that is read


def original_size(path: Path) -> tuple[int, int]:
    """Height and width in px of the image that `read_image` returns, from the file's header alone.

    Raises LightdetError as `read_header` does.
    """
    return read_header(path)[:2]


def read_header(path: Path) -> Header:
    """Raises LightdetError for a missing, empty or foreign file; only `read_image` notices a truncated one."""
    try:
        _demand_file(path)
        with path.open("rb") as file, _open(file, path) as image:
            width, height = image.size
            kind = image.format or ""
            several = kind in HOLD_SEVERAL and bool(getattr(image, "is_animated", False))
            if _orientation(image) in TURNED:
                height, width = width, height
            orientation = (
                image.tag_v2.get(EXIF_ORIENTATION) if isinstance(image, TiffImageFile) else _orientation(image)
            )
    except FileNotFoundError as error:
        raise LightdetError(f"{path}: no such image; restore it or remove its label") from error
    except UNREADABLE:
        height, width = read_image(path).shape[:2]  # raises the reason; reads the deep TIFFs that Pillow does not open
        return Header(height, width, 1)
    known = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return Header(height, width, known, kind, several)


def is_deep(path: Path) -> bool:
    """Whether an image has more than 8 bits per channel, from the file's header alone; False for an unreadable one."""
    start = b""
    try:
        _demand_file(path)
        with path.open("rb") as file:
            start = file.read(26)
            file.seek(0)
            with _open(file, path) as image:
                return image.mode.startswith("I") or is_deep_colour(image, start)
    except LightdetError:
        return False
    except UNREADABLE:
        return start[:4] in TIFF_STARTS  # 16-bit colour


def _read_bytes(path: Path) -> bytes:
    try:
        _demand_file(path)
        content = path.read_bytes()
    except OSError as error:
        raise LightdetError(f"{path}: cannot read this image ({error.strerror or error})") from error
    if not content:
        raise LightdetError(f"{path}: the file is empty (0 bytes); replace or remove it")
    return content


def _demand_file(path: Path) -> None:
    """Raises LightdetError for a folder, a pipe and the like; OSError where there is nothing."""
    if what := no_file(path):
        raise LightdetError(f"{path}: {what} where an image is expected; replace or remove it")


def _open(source: io.BufferedReader | bytes, path: Path) -> Image.Image:
    """Raises LightdetError for more pixels than LARGEST allows, before one is decoded."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # line-scan cameras write large images
        try:
            image: Image.Image = Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError:  # Pillow's own limit, one for the process: ours is checked below
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                file.seek(0)
                image = Image.open(file, formats=FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = max(before or 0, math.ceil(_largest() * 1e6))
    width, height = image.size
    megapixels, limit = width * height / 1e6, _largest()
    if megapixels > limit:
        raise LightdetError(
            f"{path}: {width} x {height} px are {megapixels:,.0f} megapixels, more than the limit of {limit:g}; "
            f"set the environment variable {LARGEST}={math.ceil(megapixels)} if this image is sound, or cut it"
        )
    return image


def _largest() -> float:
    """The limit of an image, megapixels."""
    text = os.environ.get(LARGEST, "")
    try:
        limit = float(text) if text else LARGEST_MEGAPIXELS
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise LightdetError(f"{LARGEST}={text}: give a number of megapixels above 0")
    return limit


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1..8, that is still to be applied to an image which is not loaded yet."""
    if image.format == "TIFF":  # Pillow turns it while loading, and reports the size as turned
        return 1
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would load it to look behind its pixels
        return 1
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def to_array(image: Image.Image, path: Path | str) -> np.ndarray:
    if image.mode == "F":
        raise LightdetError(f"{path}: floating-point pixels have no known range; save it with 8 or 16 bits per channel")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > SIXTEEN_BIT_MAX:
            raise LightdetError(f"{path}: values outside 0 ... 65535 have no known range; save it with 8 or 16 bits")
        return values
    if image.mode in ("1", "L"):  # three times faster than Pillow's own way to RGB
        return as_rgb(np.asarray(image.convert("L")))
    if image.mode == "P":  # by way of RGBA, or Pillow warns of a palette with transparent colours
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def to_eight_bits(values: np.ndarray, bits: int | None) -> np.ndarray:
    """(H, W, 3) uint8 RGB from what `read_values` gives; `bits` as in `read_image`."""
    if values.dtype == np.uint8:
        return values
    if bits is not None:
        limit = 2**bits - 1
    else:
        limit = TWELVE_BIT_MAX if values.max(initial=0) <= TWELVE_BIT_MAX else SIXTEEN_BIT_MAX
    scaled = (values.clip(0, limit).astype(np.float32) * (255 / limit) + 0.5).astype(np.uint8)
    return as_rgb(scaled)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
