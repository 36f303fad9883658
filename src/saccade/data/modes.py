"""Any pixel layout that a picture file can have -> 8-bit grey or RGB.

palette        its colours;  alpha, transparent colour: laid on the stated background
CMYK           RGB by the plain formula, colour profiles unused; CMYK and YCCK of JPEG inverted
               where the Adobe marker says so
16 bits        value / 257, rounded (12 bits: value / 4095 * 255); 32-bit integers within 0..65535
               likewise; floats within 0..1 times 255; others are refused, nothing is clipped
1 bit          0 and 255;  YCbCr, LAB: RGB
grey           0.299 R + 0.587 G + 0.114 B (ITU-R 601)
"""

from __future__ import annotations

import numpy as np
from PIL import Image, JpegImagePlugin

from saccade.errors import SaccadeError

Colour = tuple[int, int, int]


def pixels(opened: Image.Image, channels: int, background: Colour) -> np.ndarray:
    """A loaded picture as (H, W, channels) uint8. Raises SaccadeError "broken-file"."""
    flat = flatten(opened, background)
    wanted = "L" if channels == 1 else "RGB"
    turned = flat if flat.mode == wanted else flat.convert(wanted)
    return np.array(turned).reshape(turned.height, turned.width, channels)


def flatten(opened: Image.Image, background: Colour) -> Image.Image:
    """Any mode -> "L" or "RGB", transparency laid on the background."""
    mode = opened.mode
    if mode.startswith("I") or mode == "F":
        return _scaled(opened)
    if mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in opened.info:
        over = opened.convert("RGBA")
        if over.getchannel("A").getextrema() == (255, 255):
            return over.convert("L" if mode in ("1", "L", "LA", "La") else "RGB")
        under = Image.new("RGBA", over.size, (*background, 255))
        return Image.alpha_composite(under, over).convert("RGB")
    if mode in ("L", "RGB"):
        return opened
    if mode == "1":
        return opened.convert("L")
    if mode == "CMYK" and isinstance(opened, JpegImagePlugin.JpegImageFile):
        return _cmyk(opened)
    return _from_lab(opened) if mode == "LAB" else opened.convert("RGB")


def _cmyk(opened: JpegImagePlugin.JpegImageFile) -> Image.Image:
    """Pillow takes every CMYK JPEG for one of Adobe's, which are inverted."""
    if "adobe" in opened.info:
        return opened.convert("RGB")
    return Image.fromarray(255 - np.asarray(opened), "CMYK").convert("RGB")


def _from_lab(opened: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    turned = ImageCms.profileToProfile(opened, lab, rgb, outputMode="RGB")
    assert turned is not None
    return turned


def _scaled(opened: Image.Image) -> Image.Image:
    """Integers of more than 8 bits and floats -> 8 bits by scale, never by clipping."""
    values = np.asarray(opened)
    tags = getattr(opened, "tag_v2", {})
    top = 1.0 if opened.mode == "F" else 65535.0
    if opened.mode.startswith("I;16") and tags.get(258) == (12,):
        top = 4095.0
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= top):  # also where a value is no number
        raise SaccadeError(
            f"pixel values from {low:g} to {high:g} in mode {opened.mode}; expected 0 to {top:g}: "
            "store it with 8 or 16 bits, or as floats from 0 to 1",
            name="broken-file",
        )
    scaled = np.rint(values.astype(np.float32) * np.float32(255 / top)).astype(np.uint8)
    return Image.fromarray(255 - scaled if tags.get(262) == 0 else scaled)
