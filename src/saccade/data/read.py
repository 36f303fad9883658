"""The only place that decodes pictures: training, validation, prediction and serving read here.

A picture is turned and mirrored as its EXIF block says, of an animation the first frame counts, and
`modes.py` tells what each layout of pixels becomes. What a file holds is told by its content.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from saccade.data.headers import exif_place, orientation, orientation_in, other, sniff, webp_size
from saccade.data.modes import Colour, flatten, pixels
from saccade.data.quiet import Quiet
from saccade.data.tree import printable
from saccade.errors import SaccadeError
from saccade.protocols import Source

__all__ = [
    "MAX_PIXELS", "Header", "decode", "from_array", "header", "indices", "load", "picture", "sniff",
]  # fmt: skip

MAX_PIXELS = 50_000_000
"""Width times height; a larger picture is refused by its header, before memory is claimed."""

WHITE: Colour = (255, 255, 255)

FORMATS = "JPEG, PNG, GIF, BMP, TIFF, WEBP, PPM, PGM, PBM, AVIF or HEIF"

# The plugins are called directly, as Image.open() warns of large pictures and tries every format.
_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_QUIET = Quiet()


@dataclass(frozen=True)
class Header:
    """What a file says of its picture. width, height: as displayed (after EXIF), in pixels.

    format   as `sniff` names it;  mode: Pillow's name of the pixel layout in the file
    frames   of an animation or pages of a document, 1 where there is but one picture
    turned   EXIF orientation, 1 to 8: how the stored picture is turned to be displayed
    """

    format: str
    width: int
    height: int
    mode: str
    frames: int
    turned: int = 1


def header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the header alone. Raises SaccadeError "broken-file" where it makes no sense."""
    with _opened(data, max_pixels) as (form, opened):
        turned = _orientation(data, form, opened)
        width, height = opened.size
        if turned > 4:
            width, height = height, width
        return Header(form, width, height, opened.mode, _frames(opened), turned)


def decode(
    data: bytes,
    *,
    channels: int,
    background: Colour = WHITE,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
) -> np.ndarray:
    """The picture that `data`, a whole encoded file, holds: (H, W, channels) uint8, RGB or grey.

    at_least: a JPEG may come back 2, 4 or 8 times smaller, decoded at reduced scale (much faster),
    as long as its shorter side keeps at least this many pixels. Raises SaccadeError "broken-file"
    with the reason for anything that is no whole picture; warns of nothing.
    """
    _check_channels(channels)
    with _opened(data, max_pixels) as (form, opened):
        if form == "JPEG":
            _draft(opened, channels, at_least)
        opened.load()
        flat = flatten(opened, background)
        turn = _TURNS.get(_orientation(data, form, opened))
        turned = flat if turn is None else flat.transpose(turn)
        return pixels(turned, channels, background)


def indices(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, str]:
    """The numbers of an encoded mask, (H, W) uint8 or uint16, and Pillow's name of its mode.

    Palette indices stay indices, 1 bit is 0 and 1, 16 bits stay 16 bits; three equal channels are
    one. Numbers that a JPEG blurred around 0 and 255 become 0 and 255. Raises SaccadeError
    "broken-file" for a damaged file and for coloured pixels.
    """
    with _opened(data, max_pixels) as (form, opened):
        opened.load()
        turn = _TURNS.get(_orientation(data, form, opened))
        turned = opened if turn is None else opened.transpose(turn)
        array = np.array(turned)
        mode = opened.mode
    if array.ndim == 3:
        colours = array[:, :, :3] if array.shape[2] >= 3 else array[:, :, :1]
        if (colours != colours[:, :, :1]).any():
            raise _broken(
                f"is a coloured picture ({mode}), not a mask: expected one number per pixel "
                "(grey or palette)"
            )
        array = colours[:, :, 0]
    if array.dtype == bool:
        return array.astype(np.uint8), mode
    if array.dtype not in (np.uint8, np.uint16):
        if array.dtype.kind == "f" or array.min() < 0 or array.max() > 65535:
            raise _broken(f"a mask of mode {mode}; expected whole numbers of at most 16 bits")
        array = array.astype(np.uint16)
    if form == "JPEG" and not ((array > BLUR) & (array < 255 - BLUR)).any():
        array = np.where(array > 127, 255, 0).astype(np.uint8)
    return array, mode


BLUR = 64
"""How far a JPEG may move the numbers of a mask of 0 and 255."""


def picture(
    data: bytes | np.ndarray,
    *,
    channels: int,
    background: Colour = WHITE,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
) -> np.ndarray:
    """What a source gave, file or array -> (H, W, channels) uint8."""
    if isinstance(data, np.ndarray):
        return from_array(data, channels=channels, background=background)
    return decode(
        data, channels=channels, background=background, max_pixels=max_pixels, at_least=at_least
    )


def load(
    source: Source,
    key: str,
    *,
    channels: int,
    background: Colour = WHITE,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
) -> np.ndarray:
    """The picture `key` of a source: (H, W, channels) uint8, the one door for every use.

    Raises SaccadeError "broken-file" that names the key and the reason.
    """
    data = source.load(key)
    try:
        return picture(
            data, channels=channels, background=background, max_pixels=max_pixels, at_least=at_least
        )
    except SaccadeError as error:
        if error.files:
            raise
        message = f"{printable(key)}: {error.message}"
        raise SaccadeError(message, name=error.name, files=[key]) from error


def from_array(array: np.ndarray, *, channels: int, background: Colour = WHITE) -> np.ndarray:
    """A decoded picture, (H, W) or (H, W, 1 | 3 | 4) uint8 -> (H, W, channels) uint8."""
    _check_channels(channels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    layers = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or layers not in (1, 3, 4):
        raise _broken(f"array of {array.dtype} {array.shape}; expected uint8 (H, W[, 1|3|4])")
    if not array.size:
        raise _broken(f"empty array {array.shape}")
    if layers == channels:
        return np.array(array).reshape(*array.shape[:2], channels)
    return pixels(Image.fromarray(np.ascontiguousarray(array)), channels, background)


def _broken(reason: str) -> SaccadeError:
    return SaccadeError(reason, name="broken-file")


def _check_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise SaccadeError(f"channels: {channels}; pictures are read with 1 (grey) or 3 (RGB)")


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[tuple[str, Image.Image]]:
    """The file with its header read and its size allowed; any fault within is a SaccadeError."""
    form = sniff(data)
    if form is None:
        raise _broken(f"is {other(data)}; expected {FORMATS}" if data else "is empty (0 bytes)")
    if form == "WEBP" and (size := webp_size(data)):
        _check_size(size, max_pixels)
    with _QUIET(form == "TIFF" or form == "GIF" or (form == "PNG" and b"acTL" in data)):
        try:
            with _open(data, form) as opened:
                _check_size(opened.size, max_pixels)
                yield form, opened
        except SaccadeError:
            raise
        except MemoryError as error:
            raise _broken(f"{form}: not enough memory to decode it") from error
        except Exception as error:  # a decoder on a damaged file may raise anything
            raise _broken(f"{form}, {_reason(error)}") from error


def _open(data: bytes, form: str) -> Image.Image:
    if form == "HEIF":
        return _open_heif(data)
    if form == "JPEG" and (place := exif_place(data, form)):
        # Pillow looks into EXIF for a resolution nobody asked for and warns where it is damaged
        data = data[: place[0] - 6] + b"\0" * 6 + data[place[0] :]
    return _OPENERS[form](io.BytesIO(data))


def _open_heif(data: bytes) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise SaccadeError(
            "is a HEIF picture (a phone's .heic); install the extra that reads them: "
            "pip install 'saccade[heic]'",
            name="broken-file",
        ) from error
    opened: Image.Image = pillow_heif.open_heif(io.BytesIO(data)).to_pillow()
    return opened


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise _broken(f"its header says {width} x {height} pixels")
    if width * height > max_pixels:
        raise _broken(
            f"{width} x {height} = {width * height:,} pixels, more than the {max_pixels:,} allowed"
        )


def _reason(error: Exception) -> str:
    """What went wrong, in words where the decoder's own are cryptic."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"truncated: {text}"
    if "driver" in text:
        text = "its header makes no sense"
    return f"damaged or of an unsupported kind: {text[:200]}"


def _orientation(data: bytes, form: str, opened: Image.Image) -> int:
    """1 for TIFF and HEIF, which Pillow and libheif have turned already."""
    if form == "AVIF":  # its own turns, put into EXIF form by Pillow
        return orientation_in(opened.info.get("exif", b""))
    return orientation(data, form)


def _frames(opened: Image.Image) -> int:
    try:
        return max(1, int(getattr(opened, "n_frames", 1)))
    except Exception:  # later frames are damaged: the first is all we use
        return 1


def _draft(opened: Image.Image, channels: int, at_least: int | None) -> None:
    """Let libjpeg drop the colours nobody wants and scale while it decodes."""
    size = (at_least, at_least) if at_least else opened.size
    opened.draft("L" if channels == 1 else None, size)
