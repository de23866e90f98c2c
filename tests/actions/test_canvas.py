"""Marks, lines, crops and erasures: what they change, what they leave, and what they refuse."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.actions.action import Session, State
from castalia.actions.canvas import CANVAS
from castalia.document import Call, Document, Image, Part
from castalia.perception.image import patchify

CELL = 16
ACTIONS = {action.name: action for action in CANVAS}


def session(*images: Image, **settings: int) -> Session:
    return Session(ACTIONS, State.of(Document((*map(Part, images), Part("which?"))), **settings))


def act(acting: Session, name: str, arguments: str) -> Image | str:
    document = acting.act(Call(name, arguments))
    assert isinstance(document, Document)
    (part,) = document
    assert part.author == "tool"
    assert isinstance(part.content, Image | str)
    return part.content


def paper(rows: int = 6, columns: int = 8) -> Image:
    return Image(np.full((rows * CELL, columns * CELL, 3), 255, np.uint8))


def changed_cells(image: Image | str) -> set[tuple[int, int]]:
    assert isinstance(image, Image)
    assert image.since is not None
    differs_HW = (image.pixels_HWC != image.since.pixels_HWC).any(-1)
    rows, columns = image.height // CELL, image.width // CELL
    grid = differs_HW.reshape(rows, CELL, columns, CELL).any((1, 3))
    return {(int(row), int(column)) for row, column in np.argwhere(grid)}


def test_a_ring_changes_the_one_cell_it_is_in() -> None:
    assert changed_cells(act(session(paper()), "mark", "[[2.5,3.5]]")) == {(2, 3)}


def test_a_box_frames_its_cells_and_leaves_what_is_inside() -> None:
    image = act(session(paper()), "mark", '[[1,2,3,3],"A"]')
    cells = changed_cells(image)
    assert cells == {(r, c) for r in (1, 2, 3) for c in (2, 3, 4)} - {(2, 3)}


def test_steps_go_on_from_where_the_pen_was() -> None:
    acting = session(paper())
    assert changed_cells(act(acting, "draw", '["R",[1.5,1.5]]')) == {(1, 1), (1, 2)}
    assert changed_cells(act(acting, "draw", '["D"]')) == {(1, 2), (2, 2)}
    assert acting.state.pen == (2.5, 2.5)


def test_what_was_drawn_before_stays_and_is_not_reported_again() -> None:
    acting = session(paper())
    act(acting, "mark", "[[0.5,0.5]]")
    second = act(acting, "mark", "[[4.5,4.5]]")
    assert changed_cells(second) == {(4, 4)}
    assert isinstance(second, Image)
    assert (second.pixels_HWC[:CELL, :CELL] != 255).any(), "the first mark is still there"


def test_a_filled_path_fills_what_it_encloses() -> None:
    image = act(session(paper()), "draw", '{"path":[[1,1],[1,4],[4,4],[4,1]],"fill":true,"colour":"red"}')
    assert isinstance(image, Image)
    assert image.pixels_HWC[int(2.5 * CELL), int(2.5 * CELL)].tolist() == [230, 30, 30]


def test_a_crop_shows_the_original_at_full_resolution_whatever_was_drawn() -> None:
    generator = np.random.default_rng(0)
    large = Image(generator.integers(0, 255, (1024, 1024, 3)).astype(np.uint8))
    acting = session(large, max_side=256)
    act(acting, "mark", "[[2.5,3.5]]")
    crop = act(acting, "crop", "[[2,3,1,2]]")
    assert isinstance(crop, Image)
    np.testing.assert_array_equal(crop.pixels_HWC, large.pixels_HWC[128:192, 192:320])
    closer = act(acting, "crop", '{"box":[1,1,1,1],"image":1}')
    assert isinstance(closer, Image)
    np.testing.assert_array_equal(closer.pixels_HWC, crop.pixels_HWC[16:32, 16:32])


def test_erasing_gives_the_original_back() -> None:
    generator = np.random.default_rng(0)
    original = Image(generator.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    acting = session(original)
    act(acting, "mark", "[[0.5,0.5]]")
    act(acting, "mark", "[[2.5,2.5]]")
    partly = act(acting, "erase", "[[0,0,2,2]]")
    assert changed_cells(partly) == {(0, 0)}
    wholly = act(acting, "erase", "[]")
    assert isinstance(wholly, Image)
    np.testing.assert_array_equal(wholly.pixels_HWC, original.pixels_HWC)


def test_erasing_one_picture_keeps_the_marks_of_another() -> None:
    acting = session(paper(), paper())
    act(acting, "mark", '[[1.5,1.5],"A"]')
    act(acting, "mark", '{"at":[1.5,5.5],"label":"B","image":1}')
    act(acting, "erase", '{"image":0}')
    assert act(acting, "relate", '["A","left of","B"]').startswith("error: nothing is marked 'A'")
    assert act(acting, "relate", '["B","same","B"]') == ""


def test_relations_join_what_was_marked() -> None:
    acting = session(paper())
    act(acting, "mark", '[[1.5,1.5],"A"]')
    assert act(acting, "relate", '["A","left of","B"]').startswith("error: nothing is marked 'B'")
    act(acting, "mark", '[[1.5,5.5],"B"]')
    act(acting, "relate", '["A","left of","B"]')
    assert acting.state.relations == [("A", "left of", "B")]


def test_an_agent_draws_on_a_canvas_of_its_own() -> None:
    acting = session(paper())
    act(acting, "mark", "[[0.5,0.5]]")
    agent = acting.fork()
    act(agent, "mark", "[[3.5,3.5]]")
    assert (acting.state.canvases[0].pixels_HWC[3 * CELL :, 3 * CELL :] == 255).all()
    assert (agent.state.canvases[0].pixels_HWC[:CELL, :CELL] != 255).any()


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("mark", "[[1,2,3]]", "at is [row, column] or [row, column, height, width]"),
        ("mark", "[[1,2,-3,4]]", "a box has a height and a width above 0"),
        ("mark", '{"at":[1,1],"image":3}', "there is no image 3: there are 1"),
        ("draw", '["R"]', "steps need a start"),
        ("draw", '["X",[1,1]]', "a step is one of R, D, L, U, not 'X'"),
        ("draw", "[[[1]]]", "a place is [row, column]"),
        ("crop", "[[90,90,2,2]]", "the box lies outside the picture"),
        ("crop", "[]", "crop needs box"),
        ("paint", "[]", "there is no action 'paint'"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(name: str, arguments: str, reason: str) -> None:
    acting = session(paper())
    answer = act(acting, name, arguments)
    assert isinstance(answer, str)
    assert answer.startswith(f"error: {reason}"), answer
    np.testing.assert_array_equal(acting.state.canvases[0].pixels_HWC, paper().pixels_HWC)


@given(st.lists(st.tuples(st.floats(0, 6), st.floats(0, 8)), min_size=1, max_size=6))
def test_the_changed_patches_are_all_that_is_needed_to_see_the_new_picture(places: list[tuple[float, float]]) -> None:
    acting, seen = session(paper()), patchify(paper(), CELL)
    grid = np.full((6, 8, CELL * CELL * 3), 255, np.uint8)
    for row, column in places:
        image = act(acting, "mark", f"[[{row},{column}]]")
        assert isinstance(image, Image)
        whole = patchify(image, CELL)
        after = np.full_like(grid, 255)
        after[whole.places_N2[:, 0], whole.places_N2[:, 1]] = whole.patches_NP
        for cell in changed_cells(image):
            grid[cell] = after[cell]
        np.testing.assert_array_equal(grid, after)
    assert seen.background_3.tolist() == [255, 255, 255]


def test_crops_and_what_is_drawn_on_them_fill_no_memory(guarded: Callable[..., AbstractContextManager[int]]) -> None:
    acting = session(Image(np.full((2_000, 3_000, 3), 255, np.uint8)))
    with guarded(300):
        answers = [act(acting, "crop", '{"box": [0, 0.1, 1000, 1000]}') for _ in range(200)]
        for index in range(200):
            act(acting, "mark", json.dumps({"at": [1, 1], "image": index}))
    assert [isinstance(answer, Image) for answer in answers] == [True] * 10 + [False] * 190
    assert answers[-1] == "error: 5,982,000 pixels are too many: pictures may add 4,180,000 more"


@pytest.mark.parametrize("size", [(1, 20_001), (2_000_000, 1)])
def test_a_picture_that_is_too_long_is_not_drawn_on(size: tuple[int, int]) -> None:
    acting = session(Image(np.full((*size, 3), 255, np.uint8)))
    assert (
        act(acting, "mark", "[[0, 0, 1000, 1000]]")
        == "error: a picture of more than 20,000 pixels a side is not drawn on"
    )
    assert isinstance(act(acting, "crop", "[[0, 0, 1, 1]]"), Image)
