"""Pictures with names: clothes (Fashion-MNIST), stamps (Tux Paint), emoji."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as pillow

from castalia.data.sources import Source
from castalia.document import Image
from castalia.errors import DataError, ImageError

Item = tuple[np.ndarray, dict[str, Any]]

LONGEST_SIDE = 128
"""Pixels: larger pictures are shrunk to this before they are stored."""

CLOTHES: tuple[tuple[str, ...], ...] = (
    ("T-shirt", "T-shirt/top", "tee shirt", "top", "tee"),
    ("trousers", "trouser", "pants"),
    ("pullover", "sweater", "jumper"),
    ("dress",),
    ("coat", "jacket"),
    ("sandal", "sandals"),
    ("shirt", "blouse"),
    ("sneaker", "sneakers", "trainer"),
    ("bag", "handbag"),
    ("ankle boot", "ankle boots", "boot"),
)
"""Accepted names of the ten classes, best first."""

SENTENCE = re.compile(r"[.!?:;,…“”\"–—\d]")
ARTICLE = re.compile(r"^(an?|the|one|some|two|our|your) ", re.IGNORECASE)
RELATION = re.compile(r" (of|in|on|with|for|from|and|to|at|by|is|are|has|playing|making) ", re.IGNORECASE)


def fashion_mnist(source: Source, root: Path, needs: dict[str, Path]) -> list[Item]:
    """Read 60,000 training and 10,000 held-out pictures."""
    items: list[Item] = []
    for part, held_out in (("train", False), ("t10k", True)):
        base = root / "usr/share/datasets/fashion-mnist"
        try:
            pixels = gzip.decompress((base / f"{part}-images-idx3-ubyte.gz").read_bytes())
            labels = gzip.decompress((base / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        except (OSError, EOFError) as error:
            raise DataError(f"{source.name}: {part} cannot be read: {error}") from error
        # IDX: a header of 16 bytes for pictures, of 8 for labels.
        pixels_NHW = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
        for number, label in enumerate(np.frombuffer(labels, np.uint8, offset=8).tolist()):
            record = {"key": f"{part}/{number}", "names": CLOTHES[label], "held_out": held_out}
            items.append((pixels_NHW[number], record))
    return items


def stamps(source: Source, root: Path, needs: dict[str, Path]) -> list[Item]:
    """Read the stamps whose English caption names the thing, as ``A pink flamingo.`` does."""
    base = root / "usr/share/tuxpaint/stamps"
    items = []
    for path in sorted(base.rglob("*.png")):
        caption = path.with_suffix(".txt")
        if not caption.is_file():
            continue
        names = names_of_caption(caption.read_text(encoding="utf-8", errors="replace").partition("\n")[0])
        pixels = load_pixels(path) if names else None
        if pixels is not None:
            items.append((pixels, {"key": str(path.relative_to(base).with_suffix("")), "names": names}))
    return items


def emoji(source: Source, root: Path, needs: dict[str, Path]) -> list[Item]:
    """Read emoji as people see them; those that differ in skin colour only are left out."""
    try:
        named = json.loads((needs["emojibase-data"] / "en/compact.json").read_text(encoding="utf-8"))
        listed = json.loads((root / "emoji.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{source.name}: its list cannot be read: {error}") from error
    labels = {_code(item["hexcode"]): item["label"] for item in named}
    items = []
    for item in listed:
        label = labels.get(_code(item["unified"]))
        path = root / "img/google/64" / item["image"]
        pixels = load_pixels(path) if label and item.get("has_img_google") and path.is_file() else None
        if label and pixels is not None:
            names = names_of_emoji(label, item["short_names"])
            items.append((pixels, {"key": _code(item["unified"]), "names": names}))
    return items


def names_of_caption(caption: str) -> tuple[str, ...]:
    """Return the names a caption gives, best first: ``A pink flamingo.`` is a pink flamingo and a flamingo.

    Empty if it is a sentence, or so long that nobody would say it of the picture.
    """
    phrase = caption.strip().rstrip(".!").strip()
    named = ARTICLE.sub("", phrase)
    if not named or SENTENCE.search(named) or len(named.split()) > (5 if named != phrase else 2):
        return ()
    if RELATION.search(f" {named} ") or len(named.split()) == 1 or "letter" in named:
        return (named,)
    return named, named.split()[-1]


def names_of_emoji(label: str, short_names: list[str]) -> tuple[str, ...]:
    """Return the Unicode label, the words of a flag's or key's label alone, and the common short names."""
    group, colon, rest = label.partition(": ")
    best = f"{group} of {rest}" if colon and group == "flag" else label
    names = (best, *((rest,) if colon and group == "flag" else ()), *(name.replace("_", " ") for name in short_names))
    return tuple(dict.fromkeys(names))


def load_pixels(path: Path) -> np.ndarray | None:
    """Return a picture file as uint8 RGB of at most `LONGEST_SIDE`, transparent parts white; None if it is damaged."""
    from castalia.perception.image import fit, load_image

    try:
        # Stamps may be large; `fit` wants the picture, not the file.
        image: Image = fit(load_image(path), LONGEST_SIDE)
    except (ImageError, pillow.DecompressionBombError):
        return None
    return image.pixels_HWC


def _code(unified: str) -> str:
    # Two lists disagree on the variation selector FE0F, which only asks for the coloured picture.
    return "-".join(part for part in unified.upper().split("-") if part != "FE0F")
