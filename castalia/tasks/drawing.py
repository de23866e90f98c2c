"""Drawing: what task families share to make pictures. Named colours, small crisp letters, marks, text in pictures.

Letters are 5 × 7 dots and no edge is smoothed, so that every pixel is the same on every machine.
"""

import math
import textwrap
import unicodedata
from functools import lru_cache

import numpy as np
from PIL import Image as pillow
from PIL import ImageDraw

from castalia.document import Image

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (40, 40, 40)
GREY: Colour = (150, 150, 150)
PALETTE: dict[str, Colour] = {
    "red": (220, 40, 40),
    "blue": (40, 90, 220),
    "green": (30, 150, 60),
    "yellow": (245, 205, 30),
    "purple": (135, 55, 175),
    "orange": (245, 130, 25),
    "pink": (250, 130, 185),
    "brown": (125, 75, 40),
}
"""Colours by name, the easiest to tell apart first."""

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "heart", "moon")

GLYPH_HEIGHT = 7
"""Dots from the top of a capital to its foot; g, p, q and y reach one dot lower."""

TEXT_CELL = 8
"""Pixels from one letter to the next, and from one line to the next, of text written into a picture: 2 × 2 letters in
a patch of 16, one in a patch of 8, always at the same place in it."""

_GLYPHS = """
! 00005F0000 " 0007000700 # 147F147F14 $ 242A7F2A12 % 2313086462 & 3649562050 ' 0000070000 ( 001C224100
) 0041221C00 * 2A1C7F1C2A + 08083E0808 , 0080600000 - 0808080808 . 0000400000 / 2010080402 0 003E41413E
1 00427F4000 2 4261514946 3 2241494936 4 1814127F10 5 2745454539 6 3C4A494930 7 0171090503 8 3649494936
9 064949291E : 0000240000 ; 0080640000 < 0008142241 = 1414141414 > 4122140800 ? 0201510906 @ 3E415D591E
A 7C1211127C B 7F49494936 C 3E41414122 D 7F4141413E E 7F49494941 F 7F09090901 G 3E4149493A H 7F0808087F
I 00417F4100 J 2040413F01 K 7F08142241 L 7F40404040 M 7F020C027F N 7F0408107F O 3E4141413E P 7F09090906
Q 3E4151215E R 7F09192946 S 2649494932 T 01017F0101 U 3F4040403F V 1F2040201F W 3F4038403F X 6314081463
Y 0708700807 Z 6151494543 [ 007F414100 \\ 0204081020 ] 0041417F00 ^ 0402010204 _ 4040404040 ` 0001020400
a 2054545478 b 7F48444438 c 3844444420 d 384444487F e 3854545418 f 00087E0902 g 18A4A4A47C h 7F08040478
i 00447D4000 j 4080847D00 k 7F10284400 l 00417F4000 m 7C04780478 n 7C08040478 o 3844444438 p FC24242418
q 18242424FC r 7C08040408 s 4854545420 t 043F444020 u 3C4040207C v 1C2040201C w 3C4030403C x 4428102844
y 1CA0A0A07C z 4464544C44 { 0008364100 | 00007F0000 } 0041360800 ~ 0804080808
"""
"""Every printable ASCII character as five columns of dots from the left, two hexadecimal digits each, lowest bit on
top: the usual forms of a dot-matrix display."""


def canvas(width: int, height: int, background: Colour = WHITE) -> tuple[pillow.Image, ImageDraw.ImageDraw]:
    """Return an RGB picture of `width` × `height` pixels, all `background`, and a pen for it."""
    picture = pillow.new("RGB", (width, height), background)
    return picture, pen_for(picture)


def pen_for(picture: pillow.Image) -> ImageDraw.ImageDraw:
    """Return a pen for a picture that smooths nothing."""
    pen = ImageDraw.Draw(picture)
    pen.fontmode = "1"
    return pen


def to_image(picture: pillow.Image) -> Image:
    """Return a drawn picture as a document's image."""
    return Image(np.array(picture))


def text_width(text: str) -> int:
    """Return the pixels from the first to the last dot of `text` as `draw_text` sets it."""
    return sum(_glyph(character).width + 1 for character in text) - 1 if text else 0


def text_dots(text: str) -> np.ndarray:
    """Return the dots of `text` as `draw_text` sets it: bool [GLYPH_HEIGHT + 1, text_width(text)]."""
    return np.array(_line(text))


def draw_text(
    pen: ImageDraw.ImageDraw, x: int, y: int, text: str, colour: Colour = INK, *, align: str = "left"
) -> None:
    """Set `text` in letters 7 pixels high whose top is `y`; `x` is its left end, its ``centre`` or its ``right`` end.

    Letters are as wide as their dots, one pixel apart. What is not ASCII loses its accents, or else becomes ``?``.
    """
    if text:
        mask = _line(text)
        pen.bitmap((x - {"left": 0, "centre": mask.width // 2, "right": mask.width}[align], y), mask, fill=colour)


def draw_shape(pen: ImageDraw.ImageDraw, shape: str, x: int, y: int, size: int, colour: Colour) -> None:
    """Fill one of `SHAPES` into the square of `size` pixels whose top left pixel is (`x`, `y`)."""
    end = size - 1
    if shape == "circle":
        pen.ellipse((x, y, x + end, y + end), fill=colour)
    elif shape == "square":
        pen.rectangle((x + 1, y + 1, x + end - 1, y + end - 1), fill=colour)
    elif shape == "cross":
        third = round(size / 3)
        pen.rectangle((x + third, y, x + end - third, y + end), fill=colour)
        pen.rectangle((x, y + third, x + end, y + end - third), fill=colour)
    else:
        pen.polygon([(x + round(end * u), y + round(end * v)) for u, v in _outline(shape)], fill=colour)


def write_text(image: Image, text: str) -> Image:
    """Return `image` with `text` written underneath, on its background, as many lines as it takes.

    The picture keeps its place at the top left; the text begins at the next multiple of 16 pixels below it. Every
    letter stands in a cell of `TEXT_CELL` × `TEXT_CELL` pixels, at least 16 to a line: a narrower picture is widened.
    """
    background = _background(image)
    ink = INK if sum(background) > 380 else WHITE
    width = max(16 * TEXT_CELL, _up_to(image.width, 16))
    lines = textwrap.wrap(_plain(text), width // TEXT_CELL) or [""]
    top = _up_to(image.height, 16)
    picture, pen = canvas(width, top + _up_to(len(lines) * TEXT_CELL, 16), background)
    picture.paste(pillow.fromarray(image.pixels_HWC), (0, 0))
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            pen.bitmap((column * TEXT_CELL + 1, top + row * TEXT_CELL), _glyph(character, 5), fill=ink)
    return to_image(picture)


def _up_to(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _background(image: Image) -> Colour:
    """Return the commonest colour of all: a picture's border may be a frame, as that of a maze is."""
    codes_HW = image.pixels_HWC.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    codes, counts = np.unique(codes_HW, return_counts=True)
    code = int(codes[counts.argmax()])
    return code >> 16, code >> 8 & 255, code & 255


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c if " " <= c <= "~" else "?" for c in decomposed if not unicodedata.combining(c) and c != "\n")


@lru_cache(maxsize=1)
def _columns() -> dict[str, list[int]]:
    pieces = _GLYPHS.split()
    return {name: list(bytes.fromhex(dots)) for name, dots in zip(pieces[::2], pieces[1::2], strict=True)}


@lru_cache(maxsize=1024)
def _line(text: str) -> pillow.Image:
    """Return a text as a mask 8 pixels high: its letters one pixel apart."""
    mask, x = pillow.new("1", (text_width(text), GLYPH_HEIGHT + 1)), 0
    for character in text:
        glyph = _glyph(character)
        mask.paste(glyph, (x, 0))
        x += glyph.width + 1
    return mask


@lru_cache(maxsize=512)
def _glyph(character: str, width: int = 0) -> pillow.Image:
    """Return a character as a mask 8 pixels high: `width` wide, or if 0 as wide as its dots (a space: 3)."""
    if character == " ":
        return pillow.new("1", (width or 3, GLYPH_HEIGHT + 1))
    columns = _columns().get(_plain(character), _columns()["?"])
    if not width:
        used = [place for place, dots in enumerate(columns) if dots]
        columns = columns[used[0] : used[-1] + 1]
    dots_HW = np.array([[column >> row & 1 for column in columns] for row in range(GLYPH_HEIGHT + 1)], np.uint8)
    return pillow.fromarray(dots_HW * 255).convert("1")


@lru_cache(maxsize=16)
def _outline(shape: str) -> tuple[tuple[float, float], ...]:
    """Return the corners of a shape in the unit square, y downwards."""
    if shape == "triangle":
        return (0.5, 0.0), (1.0, 1.0), (0.0, 1.0)
    if shape == "diamond":
        return (0.5, 0.0), (0.92, 0.5), (0.5, 1.0), (0.08, 0.5)
    if shape == "star":
        points = []
        for corner in range(10):
            radius, angle = (0.54, 0.22)[corner % 2], math.pi * corner / 5
            points.append((0.5 + radius * math.sin(angle), 0.54 - radius * math.cos(angle)))
        return tuple(points)
    if shape == "heart":
        turns = [2 * math.pi * step / 24 for step in range(24)]
        return tuple(
            (
                0.5 + math.sin(turn) ** 3 / 2,
                0.46
                - (13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)) / 31,
            )
            for turn in turns
        )
    if shape == "moon":
        outer = [
            (0.5 + 0.5 * math.cos(a), 0.5 + 0.5 * math.sin(a)) for a in (math.radians(d) for d in range(60, 301, 15))
        ]
        inner = [
            (0.75 + 0.433 * math.cos(a), 0.5 + 0.433 * math.sin(a))
            for a in (math.radians(d) for d in range(270, 89, -15))
        ]
        return tuple(outer + inner)
    raise ValueError(f"there is no shape {shape!r}; there are: {', '.join(SHAPES)}")
