"""What the first bytes of a picture file say: format, orientation, size. Nothing is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADERS = frozenset(struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124))

_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"qoif", "a QOI picture"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"DDS ", "a DDS texture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"%!PS", "a PostScript document"),
    (b"Pf", "a float picture (PFM)"),
    (b"PF", "a float picture (PFM)"),
    (b"P7", "a PAM picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound or video file"),
    (b"\x1a\x45\xdf\xa3", "a video file"),
)


def sniff(data: bytes) -> str | None:
    """Format of an encoded picture by its first 32 bytes, None where it is none that we read.

    JPEG, PNG, GIF, BMP, TIFF, WEBP, PPM (P1 to P6), AVIF or HEIF.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(_TIFF_STARTS):
        return "TIFF"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n#" and data[2:3]:
        return "PPM"
    if data[4:8] == b"ftyp":
        return _boxed(data)
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADERS:
        return "BMP"
    return None


def _boxed(data: bytes) -> str | None:
    brands = {data[start : start + 4] for start in range(8, min(len(data), 64) - 3, 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def other(data: bytes) -> str:
    """What bytes that are no picture seem to be, for a message."""
    if not data.strip(b"\0"):
        return "only zero bytes"
    for start, what in _OTHERS:
        if data.startswith(start):
            return what
    if data[4:8] == b"ftyp":
        return "a video file"
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page (a download that failed?)"
    if b"<svg" in data[:1024].lower():
        return "an SVG drawing"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (run 'git lfs pull')"
    text = data[:256].decode("utf-8", "ignore")
    whole = len(text.encode()) > min(len(data), 256) - 4  # the last character may be cut
    if text and whole and all(char.isprintable() or char.isspace() for char in text):
        return f"text, beginning {text[:24].strip()!r}"
    return "of no known picture format"


def orientation(data: bytes, form: str) -> int:
    """EXIF orientation, 1 to 8, of a JPEG, PNG or WEBP file; 1 where there is none or it is bad."""
    place = exif_place(data, form)
    if place is None:
        return 1
    start, end = place
    return orientation_in(data[start:end])


def orientation_in(block: bytes) -> int:
    """Orientation that an EXIF block tells, 1 where it tells none or is damaged."""
    try:
        return _orientation(block.removeprefix(b"Exif\0\0"))
    except struct.error:
        return 1


def exif_place(data: bytes, form: str) -> tuple[int, int] | None:
    """Where the EXIF block (a small TIFF) lies in the file: start, end; None where there is none.

    The first block counts, as it does for the viewers people look at their pictures with.
    """
    walk = {"JPEG": _jpeg_blocks, "PNG": _png_blocks, "WEBP": _webp_blocks}.get(form)
    if walk is None:
        return None
    try:
        for start, end in walk(data):
            block = data[start : start + 6]
            if block == b"Exif\0\0":
                return start + 6, end
            if form != "JPEG" and block[:2] in (b"II", b"MM"):
                return start, end
    except struct.error:
        return None
    return None


def _jpeg_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of every APP1 segment before the first scan."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker == 0xFF or marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (0xDA, 0xD9):
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == 0xE1:
            yield at + 4, at + 2 + length
        at += 2 + max(length, 2)


def _png_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"eXIf":
            yield at + 8, at + 8 + length
        if name == b"IEND":
            return
        at += 12 + length


def _webp_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            yield at + 8, at + 8 + length
        at += 8 + length + (length & 1)


def _orientation(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    (offset,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, offset)
    for entry in range(count):
        tag, kind, number = struct.unpack_from(order + "HHI", block, offset + 2 + 12 * entry)
        if tag == 0x0112 and number >= 1:
            form = {1: "B", 3: "H", 4: "I"}.get(kind)
            if form is None:
                return 1
            (value,) = struct.unpack_from(order + form, block, offset + 10 + 12 * entry)
            return int(value) if 1 <= value <= 8 else 1
    return 1


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the canvas, read before a decoder claims memory for it."""
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width_, height_ = struct.unpack_from("<HH", data, 26)
        return width_ & 0x3FFF, height_ & 0x3FFF
    return None
