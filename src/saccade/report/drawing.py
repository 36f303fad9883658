"""Results drawn on their pictures: what was found, and how sure the network is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from saccade.types import (
    Classification,
    Detections,
    Heads,
    Landmarks,
    Localization,
    Match,
    MultiLabel,
    Picture,
    Result,
    Segmentation,
    Values,
)

LEAST_SIDE = 320
"""Smaller pictures are enlarged, so that the writing can be read."""

# distinct on photographs and for colour-blind eyes (Okabe and Ito 2008)
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#ffffff")
PLATE, INK, SOFT = "#16191d", "#ffffff", "#b9c0c7"
MOST_LINES = 6
MOST_NAMES = 24
"""Points beside which there is room for names."""


def annotate(image: Image.Image, result: Result) -> Image.Image:
    """The picture (RGB, as displayed) with boxes, points or masks on it and a caption above."""
    if isinstance(result, Picture):
        return Image.fromarray(result.pixels.permute(1, 2, 0).numpy())
    scale = max(1.0, LEAST_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # tiny pictures keep their pixels visible; an interpolated digit is another digit
    sampling = Image.Resampling.NEAREST if max(image.size) <= 64 else Image.Resampling.BICUBIC
    drawn = _marked(image.convert("RGB"), result).resize(size, sampling)
    _draw_places(drawn, result, scale)
    return caption(drawn, in_words(result))


def caption(image: Image.Image, lines: Sequence[tuple[str, str]], color: str = INK) -> Image.Image:
    """A plate above the picture with (name, number) lines; too long names are clipped."""
    lines = list(lines)[:MOST_LINES]
    size = max(13, round(max(image.size) / 32))
    letters = font(size)
    step, pad = round(size * 1.4), round(size * 0.45)
    plate = Image.new("RGB", (image.width, image.height + step * len(lines) + pad), PLATE)
    plate.paste(image, (0, plate.height - image.height))
    draw = ImageDraw.Draw(plate)
    for place, (name, number) in enumerate(lines):
        y = pad // 2 + place * step + step // 2
        width = letters.getlength(number)
        draw.text((plate.width - pad - width, y), number, SOFT, letters, anchor="lm")
        room = plate.width - 3 * pad - width
        draw.text((pad, y), _fitted(name, letters, room), color, letters, anchor="lm")
    return plate


def in_words(result: Result) -> list[tuple[str, str]]:
    """(name, number) lines that say what was found."""
    match result:
        case Classification():
            return [(result.label, f"{result.score:.1%}")]
        case MultiLabel():
            chances = dict(zip(result.classes, result.probabilities.tolist(), strict=True))
            return [(name, f"{chances[name]:.1%}") for name in result.labels] or [("(none)", "")]
        case Values():
            pairs = zip(result.names, result.values.tolist(), strict=True)
            return [(name, f"{value:.4g}") for name, value in pairs]
        case Localization():
            return [(result.label or "(nothing)", f"{result.score:.1%}")]
        case Match():
            return [(result.name or "(unknown)", f"{1 - result.distance / 2:.3f}")]
        case Heads():
            return [
                (f"{field}: {name}", number)
                for field, head in result.heads.items()
                for name, number in in_words(head)
            ]
        case Landmarks():
            seen = int((result.scores >= 0.5).sum())
            return [(f"{len(result.names)} points, {seen} visible", "")]
        case Detections():
            return [(f"{len(result.boxes)} found", "")]
        case Segmentation():
            return [(", ".join(result.as_dict()["labels"]), "")]
        case _:
            return []


def color_of(place: int) -> str:
    """The colour of a class: of the palette, then shades in between; grey for the background."""
    if place == 0:
        return "#8a9199"
    if place <= len(COLORS) - 1:
        return COLORS[place - 1]
    # the golden ratio spreads hues evenly however many there are
    hue = (place * 0.61803398875) % 1.0
    red, green, blue = (
        int(255 * (0.25 + 0.7 * abs((hue * 6 + shift) % 6 - 3) / 3)) for shift in (0, 4, 2)
    )
    return f"#{red:02x}{green:02x}{blue:02x}"


def _marked(image: Image.Image, result: Result) -> Image.Image:
    """Classes of a mask as colours laid over the picture; class 0, the background, stays clear."""
    if not isinstance(result, Segmentation) or result.mask.ndim != 2:
        return image
    indices = Image.fromarray(result.mask.clamp(max=255).byte().numpy())
    tinted = image.copy()
    there = [place for place, count in enumerate(indices.histogram()) if place and count]
    for place in there:
        chosen = indices.point([128 if value == place else 0 for value in range(256)])
        tinted.paste(Image.new("RGB", image.size, color_of(place)), mask=chosen)
    return tinted


def _draw_places(image: Image.Image, result: Result, scale: float) -> None:
    draw = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 240))
    match result:
        case Detections():
            rows = zip(
                result.boxes.tolist(), result.labels.tolist(), result.scores.tolist(), strict=True
            )
            for box, label, score in reversed(list(rows)):
                _box(draw, box, scale, width, f"{result.classes[label]} {score:.0%}", label)
        case Localization() if result.label is not None:
            _box(draw, result.box.tolist(), scale, width, f"{result.label} {result.score:.0%}", 0)
        case Landmarks():
            _points(draw, result, scale, width)


def _box(
    draw: ImageDraw.ImageDraw, box: list[float], scale: float, width: int, text: str, index: int
) -> None:
    room = draw.im.size[0]
    color = COLORS[index % len(COLORS)]
    x1, y1, x2, y2 = (side * scale for side in box)
    letters = font(max(12, 6 * width))
    draw.rectangle((x1, y1, x2, y2), outline=color, width=width)
    # the plate stands inside the box where there is no room above
    height = letters.size * 1.3
    top = y1 - height if y1 >= height else y1
    length = letters.getlength(text) + 8
    left = max(0.0, min(x1, room - length))
    draw.rectangle((left, top, left + length, top + height), fill=color)
    draw.text((left + 4, top + height / 2), text, "#000000", letters, anchor="lm")


def _points(draw: ImageDraw.ImageDraw, result: Landmarks, scale: float, width: int) -> None:
    """Dots with names; many points are dots alone, the sure ones filled."""
    many = len(result.names) > MOST_NAMES
    for place, (name, (x, y)) in enumerate(zip(result.names, result.points.tolist(), strict=True)):
        if not many:
            _point(draw, x * scale, y * scale, 2 * width, name, COLORS[place % len(COLORS)])
            continue
        around = (x * scale - width, y * scale - width, x * scale + width, y * scale + width)
        seen = float(result.scores[place]) >= 0.5
        draw.ellipse(around, fill=COLORS[1] if seen else None, outline="#000000")


def _point(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, name: str, color: str
) -> None:
    around = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(around, fill=color, outline="#000000")
    letters = font(max(11, round(3 * radius)))
    draw.text(
        (x + 1.5 * radius, y),
        name,
        color,
        letters,
        anchor="lm",
        stroke_width=2,
        stroke_fill="black",
    )


def _fitted(text: str, letters: ImageFont.FreeTypeFont, room: float) -> str:
    if letters.getlength(text) <= room:
        return text
    while text and letters.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic, Arabic and signs."""
    place = find_spec("matplotlib")
    assert place is not None and place.origin is not None
    folder = Path(place.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / "DejaVuSans.ttf", size)
