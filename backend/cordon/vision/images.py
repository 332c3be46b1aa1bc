"""Opening pictures that people and cameras send. Whatever is wrong with one is said in a sentence."""

from __future__ import annotations

import io
import struct
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 40_000_000
ACCEPTED_FORMATS = frozenset({"JPEG", "PNG", "WEBP", "BMP", "TIFF", "MPO"})
_EIGHT_BIT = 255.0
# What iPhones write. Not read: pillow-heif's wheels carry libheif and libde265 (LGPL) and x265 (GPL), where everything
# else here is under permissive licences, and one more native decoder would be open to whatever strangers send.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


class ImageRefused(Exception):
    """A picture that cannot be used: `code` for programs, `sentence` for the person who sent it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture as BGR uint8, height × width × 3, turned upright by its EXIF orientation.

    The header is read first: a picture that would unfold to more than `max_pixels` is refused before it does.
    CMYK, grey, palette and 16-bit pictures are converted. Raises ImageRefused.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data))
            if picture.format not in ACCEPTED_FORMATS:
                raise ImageRefused(
                    "format", f"Pictures of the kind {picture.format} are not taken: send a JPEG or PNG."
                )
            width, height = picture.size
            if width * height > max_pixels:
                raise ImageRefused(
                    "too_large",
                    f"The picture has {width * height / 1e6:.0f} megapixels: {max_pixels // 1_000_000} at most.",
                )
            if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
                raise ImageRefused("animated", "The file holds several pictures: send one.")
            upright = ImageOps.exif_transpose(picture)
            rgb = _to_rgb(upright)
    except ImageRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused("too_large", "The picture is far too large.") from error
    except UnidentifiedImageError as error:
        if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
            raise ImageRefused("format", "HEIC pictures cannot be read: save the picture as JPEG.") from error
        raise ImageRefused("not_an_image", "This file is not a picture that can be read.") from error
    except (OSError, ValueError, TypeError, KeyError, struct.error, SyntaxError, EOFError, MemoryError) as error:
        # Pillow's readers raise any of these on a damaged header or EXIF block.
        raise ImageRefused("broken", "The picture is broken or cut short.") from error
    return np.ascontiguousarray(rgb[:, :, ::-1])


def encode_jpeg(image: NDArray[np.uint8], *, longest_side: int, quality: int = 85) -> bytes:
    """BGR uint8 as a JPEG without any metadata, shrunk to `longest_side` pixels if larger."""
    scale = longest_side / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("The picture could not be encoded.")
    return bytes(encoded)


def _to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode in {"I", "I;16", "I;16B", "I;16L", "F"}:
        deep = np.asarray(picture, dtype=np.float32)
        top = 65_535.0 if deep.max(initial=0.0) > _EIGHT_BIT else _EIGHT_BIT
        grey = np.clip(deep / top * _EIGHT_BIT, 0, _EIGHT_BIT).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        # On grey: a transparent background must be neither a bright nor a dark edge.
        rgba = picture.convert("RGBA")
        under = Image.new("RGBA", rgba.size, (128, 128, 128, 255))
        picture = Image.alpha_composite(under, rgba)
    return np.asarray(picture.convert("RGB"), dtype=np.uint8)
