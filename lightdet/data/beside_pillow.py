"""What OpenCV reads better than Pillow: whole JPEGs, which it decodes faster, and colour of 16 bits.

OpenCV is imported where it is needed: the runtime of exported files does without it for most images.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from lightdet.core.errors import LightdetError

JPEG_END = b"\xff\xd9"
BITS_PER_SAMPLE = 0x0102


def is_deep_colour(image: Image.Image, content: bytes) -> bool:
    """TIFF, or PNG of colour type 2 (RGB), 4 (LA) or 6 (RGBA), in which Pillow would keep only the high bytes of 16."""
    if isinstance(image, TiffImageFile):
        return image.mode in ("RGB", "RGBA") and 16 in image.tag_v2.get(BITS_PER_SAMPLE, ())
    return content.startswith(b"\x89PNG") and content[24:25] == b"\x10" and content[25:26] in (b"\2", b"\4", b"\6")


def read_jpeg(content: bytes) -> np.ndarray | None:
    """The pixels that Pillow gives, in half its time. None where it is not whole: Pillow says what is wrong with it."""
    if not content.endswith(JPEG_END):
        return None
    try:
        import cv2
    except ImportError:
        return None
    try:
        how = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(content, np.uint8), how)
    except cv2.error:  # such as too many pixels for it
        return None


def read_deep_colour(content: bytes, path: Path) -> np.ndarray:
    """(H, W, 3) RGB with all of its 16 bits. Raises LightdetError for a broken image, and without OpenCV."""
    try:
        import cv2
    except ImportError as error:
        reason = "colour of 16 bits is read with OpenCV, which is not installed (pip install opencv-python-headless)"
        raise LightdetError(f"{path}: {reason}") from error
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below reports it
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise LightdetError(f"{path}: broken image; replace or remove it") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None or values.dtype not in (np.uint8, np.uint16):
        raise LightdetError(f"{path}: broken or unsupported image; save it with 8 or 16 bits per channel")
    return np.ascontiguousarray(values[..., ::-1])
