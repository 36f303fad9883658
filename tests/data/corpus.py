"""Writes a folder of bad and odd picture files: `python corpus.py FOLDER`.

Every kind says what a reader must do with it: refuse it as a broken file, or read these pixels.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 30, 40


@dataclass(frozen=True)
class Kind:
    """name: also the file's. data: its bytes. pixels: (H, W, 3) it must be read as, None = broken.

    tolerance: greatest difference of a pixel, for formats with losses. reason: in the message.
    """

    name: str
    data: bytes
    pixels: np.ndarray | None = None
    tolerance: int = 0
    reason: str = ""


def scene(seed: int = 0) -> np.ndarray:
    """A smooth picture with no symmetry, (30, 40, 3) uint8."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    red = 40 + 4 * columns
    green = 220 - 5 * rows
    blue = 60 + 60 * np.sin((rows + columns + seed) / 9) + 30 * (columns > 20)
    return np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)


def packed(array: np.ndarray, form: str, mode: str | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(stream, form, **options)
    return stream.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, body: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG with any header and any packed rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b"")]
    )


def tiff(tags: dict[int, tuple[int, int]], body: bytes = b"") -> bytes:
    """A little-endian TIFF of one strip; tags: number -> (type, value)."""
    start = 8 + 2 + 12 * len(tags) + 4
    values = {273: (4, start), **tags}
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
        for tag, (kind, value) in sorted(values.items())
    )
    size = 8 + 2 + 12 * len(values) + 4
    entries = entries.replace(struct.pack("<HHII", 273, 4, 1, start),
                              struct.pack("<HHII", 273, 4, 1, size))  # fmt: skip
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + b"\0\0\0\0" + body


def plain_tags(width: int, height: int, bits: int, form: int, length: int) -> dict:
    return {
        256: (4, width), 257: (4, height), 258: (3, bits), 259: (3, 1), 262: (3, 1),
        277: (3, 1), 278: (4, height), 279: (4, length), 339: (3, form),
    }  # fmt: skip


def patched_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    data = bytearray(packed(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def others() -> Iterator[Kind]:
    """Files that hold something else, or nothing, under the name of a picture."""
    yield Kind("empty", b"", reason="empty")
    yield Kind("one_byte", b"\xff")
    yield Kind("zeros", bytes(4096), reason="zero")
    yield Kind("noise", np.random.default_rng(7).bytes(5000))
    yield Kind("text", b"This is not a picture.\n" * 40, reason="text")
    yield Kind("web_page", b"<!DOCTYPE html><html><body>404</body></html>", reason="web page")
    yield Kind("json", b'{"error": "not found"}', reason="text")
    yield Kind("svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    yield Kind("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", reason="PDF")
    yield Kind("zip", b"PK\x03\x04" + bytes(60), reason="zip")
    yield Kind("gzip", b"\x1f\x8b\x08" + bytes(40), reason="gzip")
    yield Kind("lfs_pointer", b"version https://git-lfs.github.com/spec/v1\noid x", reason="LFS")
    yield Kind("photoshop", b"8BPS\0\1" + bytes(100), reason="Photoshop")
    yield Kind("jpeg2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), reason="JPEG 2000")
    yield Kind("video", b"\0\0\0\x18ftypisom" + bytes(100), reason="video")
    yield Kind("icon", b"\0\0\1\0\1\0" + bytes(100), reason="icon")
    yield Kind("float_map", b"PF\n4 4\n-1.0\n" + bytes(192))
    yield Kind("program", b"\x7fELF\2\1\1" + bytes(100), reason="program")
    yield Kind("starts_like_bmp", b"BMW cars are\nfrom Bavaria, they say\n", reason="text")
    yield Kind("numpy", b"\x93NUMPY\1\0v\0" + bytes(100), reason="NumPy")


def whole() -> dict[str, bytes]:
    """One good file of every format."""
    array = scene()
    return {
        "jpeg": packed(array, "JPEG", quality=95),
        "jpeg_progressive": packed(array, "JPEG", quality=95, progressive=True),
        "jpeg_grey": packed(array, "JPEG", "L"),
        "png": packed(array, "PNG"),
        "png_16bit": packed((array[:, :, 0].astype(np.uint16) * 257), "PNG"),
        "gif": packed(array, "GIF", "L"),
        "bmp": packed(array, "BMP"),
        "tiff": packed(array, "TIFF"),
        "tiff_lzw": packed(array, "TIFF", compression="tiff_lzw"),
        "webp": packed(array, "WEBP"),
        "webp_lossless": packed(array, "WEBP", lossless=True),
        "ppm": packed(array, "PPM"),
        "pgm": packed(array, "PPM", "L"),
        "avif": packed(array, "AVIF"),
    }


def cut() -> Iterator[Kind]:
    """The beginning of good files: most of it, and the header alone."""
    for name, data in whole().items():
        yield Kind(f"cut_{name}", data[: len(data) * 6 // 10])
    for name in ("jpeg", "png", "gif", "bmp", "tiff", "webp", "ppm", "avif"):
        yield Kind(f"begun_{name}", whole()[name][:18])


def damaged() -> Iterator[Kind]:
    """Headers and bodies that contradict themselves."""
    good = packed(scene(), "PNG")
    at = good.index(b"IDAT")
    yield Kind("png_bad_checksum", good[: at + 9] + bytes([good[at + 9] ^ 255]) + good[at + 10 :])
    yield Kind("png_bad_stream", png(4, 4, b"no zlib stream here"))
    yield Kind("png_short_stream", png(40, 30, zlib.compress(bytes(100))))
    yield Kind("png_no_width", png(0, 30, zlib.compress(bytes(100))))
    yield Kind("png_bad_depth", png(4, 4, zlib.compress(bytes(100)), depth=7))
    yield Kind("png_no_data", b"\x89PNG\r\n\x1a\n" + good[8:33] + chunk(b"IEND", b""))
    yield Kind("png_no_palette", png(0, 0, zlib.compress(bytes(20)), colour=3))
    jpeg = packed(scene(), "JPEG")
    yield Kind("jpeg_no_scan", jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xd9")
    yield Kind("jpeg_no_frame", b"\xff\xd8\xff\xd9" + bytes(40))
    yield Kind("jpeg_no_size", patched_jpeg(0, 0))
    yield Kind("jpeg_no_tables", jpeg.replace(b"\xff\xdb", b"\xff\xfe", 2))
    yield Kind("gif_no_frame", b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b";")
    yield Kind("bmp_bad_header", b"BM" + bytes(12) + struct.pack("<I", 40) + b"\xff" * 36)
    yield Kind("tiff_no_directory", b"II*\0" + struct.pack("<I", 9999) + bytes(20))
    yield Kind("tiff_big_endian_junk", b"MM\0*\0\0\0\x08" + b"\xff" * 200)
    yield Kind("webp_bad_chunk", b"RIFF\x20\0\0\0WEBPVP8 " + b"\xff" * 40)
    yield Kind("ppm_no_numbers", b"P6\nforty thirty\n255\n" + bytes(60))
    yield Kind("ppm_no_maximum", b"P5\n4 4\n0\n" + bytes(16))
    yield Kind("heic_junk", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    yield Kind("avif_junk", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(200))


def bombs() -> Iterator[Kind]:
    """Small files that claim huge pictures."""
    reason = "pixels, more than"
    yield Kind("bomb_png", png(30_000, 30_000, zlib.compress(bytes(1_000_000))), reason=reason)
    yield Kind("bomb_png_2g", png(2**31 - 1, 2**31 - 1, b""), reason=reason)
    yield Kind("bomb_jpeg", patched_jpeg(65_500, 65_500), reason=reason)
    yield Kind("bomb_gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"\x2c"
               + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08\x01\0\0;",
               reason=reason)  # fmt: skip
    head = struct.pack("<IiiHHIIIIII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield Kind("bomb_bmp", b"BM" + bytes(8) + struct.pack("<I", 54) + head, reason=reason)
    tags = plain_tags(100_000, 100_000, 8, 1, 16)
    yield Kind("bomb_tiff", tiff(tags, bytes(16)), reason=reason)
    canvas = (16_000 - 1).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + bytes(20)
    yield Kind("bomb_webp", b"RIFF" + struct.pack("<I", len(body)) + body, reason=reason)
    yield Kind("bomb_ppm", b"P6\n90000 90000\n255\n" + bytes(64), reason=reason)


def unusable() -> Iterator[Kind]:
    """Whole files whose values have no one reading as a picture of 8 bits."""
    wild = (scene()[:, :, 0].astype(np.float32) - 60) * 40
    yield Kind("tiff_float_wild", packed(wild, "TIFF"), reason="expected 0 to 1")
    hole = np.full((8, 8), 0.5, np.float32)
    hole[3, 3] = np.nan
    yield Kind("tiff_float_nan", packed(hole, "TIFF"), reason="expected 0 to 1")
    deep = scene()[:, :, 0].astype(np.int32) * 1_000_000
    yield Kind("tiff_int32", packed(deep, "TIFF"), reason="expected 0 to 65535")
    signed = np.arange(-8, 8, dtype="<i2").tobytes()
    yield Kind("tiff_signed", tiff(plain_tags(4, 4, 16, 2, 32), signed))
    yield Kind("tiff_64bit", tiff(plain_tags(4, 4, 64, 3, 128), bytes(128)))


def odd() -> Iterator[Kind]:
    """Unusual files that are nevertheless whole: they must be read, and rightly."""
    array = scene()
    good = packed(array, "PNG")
    yield Kind("good_png_trailing", good + b"appended by a camera" * 10, array)
    yield Kind("good_bmp", packed(array, "BMP"), array)
    yield Kind("good_tiff_lzw", whole()["tiff_lzw"], array)
    yield Kind("good_webp_lossless", whole()["webp_lossless"], array)
    yield Kind("good_avif", packed(array, "AVIF", quality=100, subsampling="4:4:4"), array, 12)
    jpeg = packed(array, "JPEG", quality=95, subsampling=0)
    yield Kind("good_jpeg_trailing", jpeg + bytes(100), array, 14)
    comment = b"\xff\xfe" + struct.pack(">H", 60_002) + b"c" * 60_000
    yield Kind("good_jpeg_comment", jpeg[:2] + comment + jpeg[2:], array, 14)
    for name, exif in {
        "broken_exif": b"Exif\0\0II*\0\xff\xff\xff\xff junk",
        "cut_exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12",
        "wrong_exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
    }.items():
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        yield Kind(f"good_jpeg_{name}", jpeg[:2] + segment + jpeg[2:], array, 14)
    animation = chunk(b"acTL", struct.pack(">II", 0, 0))
    yield Kind("good_png_bad_animation", good[:33] + animation + good[33:], array)
    first, second = Image.fromarray(array), Image.fromarray(scene(50))
    for form in ("GIF", "WEBP", "PNG", "TIFF", "MPO"):
        stream = io.BytesIO()
        lossless = {"lossless": True} if form == "WEBP" else {}
        first.save(stream, form, save_all=True, append_images=[second], **lossless)
        tolerance = {"GIF": 60, "MPO": 40}.get(form, 0)
        yield Kind(f"good_two_frames_{form.lower()}", stream.getvalue(), array, tolerance)
    text = " ".join(map(str, array.ravel()))
    yield Kind("good_ppm_text", f"P3\n# odd\n{WIDTH} {HEIGHT}\n255\n{text}\n".encode(), array)
    yield Kind("good_one_pixel", packed(array[:1, :1], "PNG"), array[:1, :1])
    yield Kind("good_one_row", packed(array[:1], "PNG"), array[:1])
    noisy = tiff({**plain_tags(4, 4, 8, 1, 16), 305: (2, 99_999)}, bytes(range(16)))
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, 2)
    yield Kind("good_tiff_bad_tag", noisy, grey)


def kinds() -> list[Kind]:
    return [
        kind for group in (others(), cut(), damaged(), bombs(), unusable(), odd()) for kind in group
    ]


def write(folder: Path) -> dict[str, Kind]:
    """Write every kind below `folder`, under a name that ends in .jpg; name -> kind.

    Some kinds are no contents but entries of the file system: a link to nothing, a pipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for kind in kinds():
        name = f"{kind.name}.jpg"
        (folder / name).write_bytes(kind.data)
        written[name] = kind
    (folder / "link_to_nothing.jpg").symlink_to("nowhere.jpg")
    written["link_to_nothing.jpg"] = Kind("link_to_nothing", b"", reason="does not exist")
    (folder / "link_to_itself.jpg").symlink_to("link_to_itself.jpg")
    written["link_to_itself.jpg"] = Kind("link_to_itself", b"")
    for name in (b"not utf-8 \xff\xe9.jpg", "ünïcode 漢字.jpg".encode(), b"x" * 251 + b".jpg"):
        good = packed(scene(), "PNG")
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(good)
        written[os.fsdecode(name)] = Kind("good_odd_name", good, scene())
    os.mkfifo(folder / "pipe.jpg")
    return written


if __name__ == "__main__":
    print(f"{len(write(Path(sys.argv[1])))} kinds written")
