"""Pictures are read right or refused by name; compared with formulas written out here."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import corpus
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.data import read
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

TURNED = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}
"""EXIF 2.32, table of tag 274: where row 0 and column 0 of what is stored are displayed."""


def encoded(picture: Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def grey(colour: np.ndarray) -> np.ndarray:
    return colour.astype(float) @ [0.299, 0.587, 0.114]


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found.astype(float) - expected).max() <= tolerance


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(form, orientation):
    stored = corpus.scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encoded(Image.fromarray(stored), form, exif=exif.tobytes(), **options.get(form, {}))
    expected = TURNED[orientation](stored)
    close(read.decode(data, channels=3), expected, 8 if form == "JPEG" else 0)
    head = read.header(data)
    assert (head.height, head.width) == expected.shape[:2]
    assert head.format == form


def test_orientation_with_reduced_scale_and_big_endian():
    stored = np.kron(corpus.scene(), np.ones((8, 8, 1), np.uint8))
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = encoded(Image.fromarray(stored), "JPEG", quality=95, exif=block)
    small = read.decode(data, channels=3, at_least=30)
    assert small.shape == (40, 30, 3)
    close(small, TURNED[6](corpus.scene()), 12)


MODES = {
    "1": lambda rgb: (Image.fromarray(rgb[..., 0] > 128), np.where(rgb[..., :1] > 128, 255, 0)),
    "L": lambda rgb: (Image.fromarray(rgb[..., 0]), rgb[..., :1]),
    "LA": lambda rgb: (
        Image.merge(
            "LA", [Image.fromarray(rgb[..., 0].copy()), Image.fromarray(rgb[..., 1].copy())]
        ),
        over(rgb[..., :1], rgb[..., 1:2]),
    ),
    "RGBA": lambda rgb: (
        Image.fromarray(np.dstack([rgb, rgb[..., 2]])),
        over(rgb, rgb[..., 2:3]),
    ),
    "I;16": lambda rgb: (
        Image.fromarray(rgb[..., 0].astype(np.uint16) * 200 + 90),
        np.rint((rgb[..., :1].astype(float) * 200 + 90) / 257),
    ),
}
BACKGROUND = (200, 100, 50)


def over(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha / 255.0
    return colour * share + np.array(BACKGROUND, float) * (1 - share)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_golden_pixels(mode, form):
    picture, expected = MODES[mode](corpus.scene())
    data = encoded(picture, form)
    expected = np.broadcast_to(expected, (30, 40, 3))
    close(read.decode(data, channels=3, background=BACKGROUND), expected, 1)
    close(
        read.decode(data, channels=1, background=BACKGROUND)[..., 0],
        grey(expected),
        1.6,
    )


def test_big_endian_and_12_bit_tiff():
    values = np.arange(0, 4096, 256, dtype=np.uint16).reshape(4, 4)
    big = Image.frombytes("I;16B", (4, 4), (values * 16).astype(">u2").tobytes())
    close(read.decode(encoded(big, "TIFF"), channels=1)[..., 0], np.rint(values * 16 / 257), 0)
    bits = "".join(f"{value:012b}" for value in values.ravel())
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    data = corpus.tiff(corpus.plain_tags(4, 4, 12, 1, len(body)), body)
    close(read.decode(data, channels=1)[..., 0], np.rint(values / 4095 * 255), 0)


def test_white_is_zero_in_16_bits():
    body = np.array([[0, 65535], [257, 32768]], "<u2").tobytes()
    data = corpus.tiff({**corpus.plain_tags(2, 2, 16, 1, 8), 262: (3, 0)}, body)
    assert read.decode(data, channels=1)[..., 0].tolist() == [[255, 0], [254, 127]]


def test_16_bit_pgm_and_float_tiff():
    values = np.array([[0, 257, 32768, 65535]], ">u2")
    pgm = b"P5\n4 1\n65535\n" + values.tobytes()
    assert read.decode(pgm, channels=1).ravel().tolist() == [0, 1, 128, 255]
    low = b"P5\n3 1\n3\n\x00\x01\x03"
    assert read.decode(low, channels=1).ravel().tolist() == [0, 85, 255]
    floats = np.array([[0, 0.25, 1]], np.float32)
    assert read.decode(corpus.packed(floats, "TIFF"), channels=1).ravel().tolist() == [0, 64, 255]


@pytest.mark.parametrize("transparency", [None, 3, bytes([255] * 3 + [0] + [128] * 252)])
def test_palette(transparency):
    indices = (np.arange(48) % 6).reshape(6, 8).astype(np.uint8)
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    picture = Image.frombytes("P", (8, 6), indices.tobytes())
    picture.putpalette(colours.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    data = encoded(picture, "PNG", **options)
    alpha = np.full(256, 255)
    if isinstance(transparency, int):
        alpha[transparency] = 0
    elif transparency is not None:
        alpha = np.frombuffer(transparency, np.uint8).astype(int)
    expected = over(colours[indices].astype(float), alpha[indices][..., None])
    close(read.decode(data, channels=3, background=BACKGROUND), expected, 1)


@pytest.mark.parametrize("form", ["L", "RGB"])
def test_transparent_colour(form):
    colour = corpus.scene()
    picture = Image.fromarray(colour).convert(form)
    key = picture.getpixel((5, 5))
    found = read.decode(
        encoded(picture, "PNG", transparency=key), channels=3, background=BACKGROUND
    )
    plain = np.asarray(picture.convert("RGB"))
    hit = (plain == plain[5, 5]).all(-1)
    close(found, np.where(hit[..., None], BACKGROUND, plain), 0)


def test_cmyk_of_tiff_and_jpeg_with_and_without_adobe():
    ink = np.dstack([corpus.scene(), np.full((30, 40), 40, np.uint8)])
    expected = (255 - ink[..., :3].astype(float)) * (255 - 40) / 255
    picture = Image.frombytes("CMYK", (40, 30), ink.tobytes())
    close(read.decode(encoded(picture, "TIFF"), channels=3), expected, 1)
    adobe = encoded(picture, "JPEG", quality=100, subsampling=0)
    at = adobe.index(b"Adobe")
    close(read.decode(adobe, channels=3), expected, 6)
    size = int.from_bytes(adobe[at - 2 : at], "big")
    plain = adobe[: at - 4] + adobe[at - 2 + size :]  # its inks mean what they say
    close(read.decode(plain, channels=3), ink[..., :3].astype(float) * 40 / 255, 6)


def srgb(lab: np.ndarray) -> np.ndarray:
    """CIE 15, D50 white, to sRGB by the matrix of IEC 61966-2-1 adapted to D50 (Bradford)."""
    light = (lab[..., 0] * 100 / 255 + 16) / 116
    cube = np.stack(
        [light + (lab[..., 1] - 128.0) / 500, light, light - (lab[..., 2] - 128.0) / 200]
    )
    linear = np.where(cube > 6 / 29, cube**3, 3 * (6 / 29) ** 2 * (cube - 4 / 29))
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    white = np.array([0.96422, 1.0, 0.82521])
    rgb = np.einsum("ij,j,jhw->hwi", np.array(matrix), white, linear).clip(0, 1)
    return 255 * np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)


def test_lab_and_ycbcr_tiff():
    lightness, first, second = np.mgrid[100:220:40, 118:148:10, 118:148:10].reshape(3, 3, -1)
    lab = np.stack([lightness, first, second], -1).astype(np.uint8)
    signed = lab ^ np.array([0, 128, 128], np.uint8)  # as TIFF stores a and b
    picture = Image.frombytes("LAB", lab.shape[1::-1], signed.tobytes())
    close(read.decode(encoded(picture, "TIFF"), channels=3), srgb(lab.astype(float)), 2)
    ycbcr = encoded(Image.fromarray(corpus.scene()).convert("YCbCr"), "TIFF")
    close(read.decode(ycbcr, channels=3), corpus.scene(), 3)


def test_heif_with_and_without_the_extra(monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    heif.from_pillow(Image.fromarray(corpus.scene())).save(stream, quality=95)
    close(read.decode(stream.getvalue(), channels=3), corpus.scene(), 24)
    assert read.header(stream.getvalue()).format == "HEIF"
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(SaccadeError, match=r"saccade\[heic\]") as caught:
        read.decode(stream.getvalue(), channels=3)
    assert caught.value.name == "broken-file"


def test_grey_jpeg_and_reduced_scale_keep_the_shorter_side():
    big = np.kron(corpus.scene(), np.ones((16, 16, 1), np.uint8))
    data = corpus.packed(big, "JPEG", quality=92)
    close(read.decode(data, channels=1)[..., 0], grey(big), 14)
    for at_least in (16, 30, 33, 60, 100, 200, 239, 240, 481, 9999):
        small = read.decode(data, channels=3, at_least=at_least)
        shrink = 480 // small.shape[0]
        assert shrink in (1, 2, 4, 8)
        assert small.shape == (480 // shrink, 640 // shrink, 3)
        assert small.shape[0] >= min(at_least, 480)
        assert shrink == 8 or 480 // (2 * shrink) < at_least


def test_pixel_cap_counts_before_decoding():
    data = corpus.packed(corpus.scene(), "PNG")
    assert read.decode(data, channels=3, max_pixels=1200).shape == (30, 40, 3)
    for attempt in (read.header, lambda *a, **k: read.decode(*a, channels=3, **k)):
        with pytest.raises(SaccadeError, match="1,200 pixels, more than the 1,199"):
            attempt(data, max_pixels=1199)


def test_header_of_animations():
    two = {kind.name: kind.data for kind in corpus.odd() if "two_frames" in kind.name}
    for name in ("gif", "webp", "png", "tiff"):
        assert read.header(two[f"good_two_frames_{name}"]).frames == 2


def test_arrays_go_through_the_same_door():
    colour = corpus.scene()
    alpha = np.dstack([colour, colour[..., 2]])
    close(read.picture(colour, channels=3), colour, 0)
    close(read.picture(colour, channels=1)[..., 0], grey(colour), 1)
    close(read.picture(colour[..., 0], channels=3), colour[..., :1].repeat(3, 2), 0)
    close(read.picture(alpha, channels=3, background=BACKGROUND), over(colour, alpha[..., 3:]), 1)
    assert read.picture(colour, channels=3).flags.writeable
    for bad in (colour.astype(float), colour[..., :2], colour[:0], colour[None]):
        with pytest.raises(SaccadeError) as caught:
            read.picture(bad, channels=3)
        assert caught.value.name == "broken-file"


def test_corpus_is_refused_by_name_and_good_neighbours_live(tmp_path: Path):
    written = corpus.write(tmp_path / "data" / "odd")
    (tmp_path / "data" / "good").mkdir()
    for number in range(5):
        good = tmp_path / "data" / "good" / f"{number}.png"
        good.write_bytes(corpus.packed(corpus.scene(number), "PNG"))
    data = open_dataset(tmp_path / "data")
    assert "odd/pipe.jpg" in next(n for n in data.notices if n.name == "special-file").files
    refused, right = 0, 0
    for example in data.examples:
        folder, name = example.key.split("/")
        kind = written.get(name) if folder == "odd" else None
        expected = corpus.scene(int(name[0])) if kind is None else kind.pixels
        if expected is None:
            with pytest.raises(SaccadeError) as caught:
                read.load(data.source, example.key, channels=3)
            assert caught.value.name == "broken-file", example.key
            assert caught.value.files == (example.key,)
            assert kind.reason in caught.value.message
            assert caught.value.message.encode()  # can be printed
            refused += 1
        else:
            found = read.load(data.source, example.key, channels=3)
            close(found, expected, 0 if kind is None else kind.tolerance)
            right += 1
    assert refused + right == len(data) == len(written) + 5
    assert refused >= 60


def test_bombs_claim_no_memory():
    code = (
        "import resource, corpus\n"
        "from saccade.data import read\n"
        "from saccade.errors import SaccadeError\n"
        "kinds = list(corpus.bombs())\n"
        "read.decode(corpus.packed(corpus.scene(), 'PNG'), channels=3)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for kind in kinds:\n"
        "    try: read.decode(kind.data, channels=3)\n"
        "    except SaccadeError: continue\n"
        "    raise SystemExit(kind.name)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert int(done.stdout) < 32 * 1024  # KiB


WHOLE = corpus.whole()


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(sorted(WHOLE)),
    cut=st.one_of(st.none(), st.floats(0, 1)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
)
def test_mutants_give_a_picture_or_a_named_error(form, cut, flips):
    data = bytearray(WHOLE[form])
    for place, change in flips:
        data[int(place * len(data))] ^= change
    if cut is not None:
        data = data[: int(cut * len(data))]
    try:
        found = read.decode(bytes(data), channels=3, max_pixels=1_000_000)
    except SaccadeError as error:
        assert error.name == "broken-file"
    else:
        assert found.dtype == np.uint8
        assert found.ndim == 3


def test_threads_agree_and_leave_the_warnings_alone():
    noisy = [kind for kind in corpus.odd() if "tiff" in kind.name or "exif" in kind.name]
    before = list(warnings.filters)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for kind in noisy * 4:
                close(read.decode(kind.data, channels=3), kind.pixels, kind.tolerance)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert list(warnings.filters) == before
