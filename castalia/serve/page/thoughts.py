"""Thoughts as they unfold: words, calls and the pictures that come back, in order, and the relations stated in them."""

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image as pillow

from castalia.document import Call, Image
from castalia.serve.page.relations import relations_svg, scene_graph
from castalia.serve.service.pieces import Acted, Piece, Seen, Words

LARGEST_SHOWN = 640
"""Longest side, in pixels, that a picture is sent to the browser with."""
SMALL = 256
"""A picture up to this side is shown in whole pixels: it is not smoothed."""


def picture_address(image: Image, made: dict[Image, str]) -> str:
    """Return a picture as a data: address, made smaller if it is large; `made` keeps what was made before."""
    if image not in made:
        picture, file = pillow.fromarray(image.pixels_HWC), io.BytesIO()
        is_photo = max(picture.size) > LARGEST_SHOWN
        picture.thumbnail((LARGEST_SHOWN, LARGEST_SHOWN))
        if is_photo:
            picture.save(file, "JPEG", quality=85)
        else:
            picture.save(file, "PNG", compress_level=3)
        kind = "jpeg" if is_photo else "png"
        made[image] = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
    return made[image]


def picture_html(image: Image, alternative: str, made: dict[Image, str]) -> str:
    """Return an <img>."""
    crisp = ' class="crisp"' if max(image.height, image.width) <= SMALL else ""
    return (
        f'<img{crisp} alt="{escape(alternative)}" width="{image.width}" height="{image.height}" '
        f'src="{picture_address(image, made)}">'
    )


def call_html(call: Call) -> str:
    """Return a call as it is read: its name, and its arguments without their brackets."""
    arguments = call.arguments.strip()
    inner = arguments[1:-1] if arguments[:1] + arguments[-1:] in ("[]", "{}") else arguments
    return f'<code class="call"><b>{escape(call.name)}</b> {escape(inner)}</code>'


def trail_html(trail: Sequence[Piece], made: dict[Image, str]) -> list[str]:
    """Return what was thought, done and seen as pieces of HTML in order; all but the last stay as they are."""
    chunks: list[str] = []
    words, call = "", None
    for piece in trail:
        if isinstance(piece, Words):
            if piece.kind == "thought":
                words += piece.text
            continue
        if words.strip():
            chunks.append(_words(words))
        words = ""
        if isinstance(piece, Acted):
            if call is not None:
                chunks.append(_deed(call, "", []))
            call = piece.call
        elif isinstance(piece, Seen):
            texts = " ".join(part.content for part in piece.document if isinstance(part.content, str)).strip()
            images = [part.content for part in piece.document if isinstance(part.content, Image)]
            pictures = [picture_html(image, _alternative(call), made) for image in images]
            chunks.append(_deed(call, texts, pictures))
            call = None
    if call is not None:
        chunks.append(_deed(call, "", []))
    if words.strip():
        chunks.append(_words(words))
    graph = scene_graph(trail)
    return [*chunks, relations_svg(graph)] if graph.edges else chunks


def _words(text: str) -> str:
    return f'<p class="words">{escape(text.strip())}</p>'


def _alternative(call: Call | None) -> str:
    return f"The picture after {call.name} {call.arguments}" if call else "What came back"


def _deed(call: Call | None, texts: str, pictures: list[str]) -> str:
    """Return a call with what it returned below it."""
    caption = call_html(call) if call else ""
    failed = " failed" if texts.startswith("error:") else ""
    said = f'<p class="returned{failed}">{escape(texts)}</p>' if texts else ""
    seen = "".join(
        f'<button type="button" class="picture" data-act="enlarge" aria-expanded="false">{picture}</button>'
        for picture in pictures
    )
    return f'<figure class="deed"><figcaption>{caption}</figcaption>{seen}{said}</figure>'
