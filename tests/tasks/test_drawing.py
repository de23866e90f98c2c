"""Drawing: letters are crisp, whole and told apart; a question can be written into any picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.document import Image
from castalia.tasks.drawing import (
    INK,
    PALETTE,
    SHAPES,
    TEXT_CELL,
    WHITE,
    canvas,
    draw_shape,
    draw_text,
    text_dots,
    text_width,
    to_image,
    write_text,
)

PRINTABLE = "".join(chr(code) for code in range(33, 127))


def plain(width: int, height: int, colour: tuple[int, int, int] = WHITE) -> Image:
    return Image(np.full((height, width, 3), colour, np.uint8))


def drawn(text: str, align: str = "left") -> np.ndarray:
    """Return where `text`, set at x = 40, left ink: bool [20, 120]."""
    picture, pen = canvas(120, 20)
    draw_text(pen, 40, 6, text, align=align)
    return (to_image(picture).pixels_HWC != 255).any(axis=2)


def test_every_printable_character_has_a_form_of_its_own() -> None:
    assert len({drawn(character).tobytes() for character in PRINTABLE}) == len(PRINTABLE)


def test_letters_are_ink_or_nothing() -> None:
    picture, pen = canvas(200, 20)
    draw_text(pen, 2, 2, "Which is larger, A or B?")
    assert {tuple(pixel) for pixel in to_image(picture).pixels_HWC.reshape(-1, 3).tolist()} == {INK, WHITE}


@pytest.mark.parametrize("text", ["7", "10", "100", "Mo", "pig"])
def test_text_is_as_wide_as_said_and_stands_where_said(text: str) -> None:
    for align, start in (("left", 40), ("right", 40 - text_width(text)), ("centre", 40 - text_width(text) // 2)):
        columns = np.flatnonzero(drawn(text, align).any(axis=0))
        assert (columns[0], columns[-1]) == (start, start + text_width(text) - 1)


@pytest.mark.parametrize("text", ["7", "10", "Mo", "pig"])
def test_dots_are_those_that_are_drawn(text: str) -> None:
    dots = text_dots(text)
    assert dots.dtype == bool and dots.shape == (8, text_width(text))
    assert (dots == drawn(text)[6:14, 40 : 40 + text_width(text)]).all()


def test_accents_are_dropped_and_foreign_signs_become_question_marks() -> None:
    assert (drawn("é") == drawn("e")).all()
    assert (drawn("中") == drawn("?")).all()


@pytest.mark.parametrize("size", [12, 24])
def test_shapes_stay_in_their_square_fill_much_of_it_and_differ(size: int) -> None:
    masks = {}
    for shape in SHAPES:
        picture, pen = canvas(size + 8, size + 8)
        draw_shape(pen, shape, 4, 4, size, PALETTE["red"])
        mask_HW = (to_image(picture).pixels_HWC != 255).any(axis=2)
        assert mask_HW[4:-4, 4:-4].sum() == mask_HW.sum() > size * size / 4
        masks[shape] = mask_HW
    for one in SHAPES:
        for other in SHAPES:
            assert one == other or (masks[one] != masks[other]).sum() > size * size / 12


def test_a_shape_that_does_not_exist_is_refused() -> None:
    _, pen = canvas(8, 8)
    with pytest.raises(ValueError, match="circle"):
        draw_shape(pen, "blob", 0, 0, 8, INK)


@given(st.text(max_size=120), st.integers(1, 100), st.integers(1, 40))
def test_any_text_fits_under_any_picture_which_stays_as_it_was(text: str, width: int, height: int) -> None:
    picture = plain(width, height, (10, 20, 30))
    written = write_text(picture, text)
    assert (written.pixels_HWC[:height, :width] == picture.pixels_HWC).all()
    assert written.height % 16 == 0 and written.width % 16 == 0
    assert {tuple(pixel) for pixel in written.pixels_HWC.reshape(-1, 3).tolist()} <= {(10, 20, 30), WHITE}


def test_each_letter_of_a_written_question_fills_its_own_cell() -> None:
    text = "How far is G?"
    written = write_text(plain(48, 48), text).pixels_HWC[48 : 48 + TEXT_CELL]
    for place, character in enumerate(text):
        cell_HW = (written[:, place * TEXT_CELL : (place + 1) * TEXT_CELL] != 255).any(axis=2)
        assert cell_HW.any() == (character != " ")
        assert not cell_HW[:, 0].any()


def test_a_long_question_goes_on_in_further_lines_between_words() -> None:
    one, three = (
        write_text(plain(128, 16), "short"),
        write_text(plain(128, 16), "which is the larger one, say, of these two?"),
    )
    assert one.height == 32 and three.height == 48


def test_writing_on_dark_is_white() -> None:
    assert (write_text(plain(32, 16, (20, 20, 40)), "yes").pixels_HWC == 255).all(axis=2).any()


def test_a_frame_around_the_picture_is_not_taken_for_its_background() -> None:
    framed_HWC = plain(32, 32).pixels_HWC.copy()
    framed_HWC[[0, -1]] = framed_HWC[:, [0, -1]] = INK
    assert (write_text(Image(framed_HWC), "yes").pixels_HWC[-1] == 255).all()
