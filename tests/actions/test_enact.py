"""Enacting: every call of a reference gets what its action really returns; every family's steps can be carried out."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from castalia.actions.action import Branches, Outcome, Parameter, State, said
from castalia.actions.catalog import build_actions
from castalia.actions.enact import enact
from castalia.data.catalog import TASKS, build_task
from castalia.document import Call, Document, Image, Part
from castalia.errors import ActionError
from castalia.perception.perceive import Perception, PerceptionConfig
from castalia.perception.text import Tokenizer
from castalia.tasks.drawing import PALETTE
from castalia.tasks.task import DIFFICULTIES, Split

ACTIONS = build_actions(("canvas", "tools"))
DRAWN = [name for name, entry in TASKS.items() if not entry.sources]
ACTING = [name for name in DRAWN if name in ("mazes", "charts", "scenes", "sums", "countdown", "search")]
PERCEPTION = Perception(Tokenizer.train([""], 272), PerceptionConfig(max_side=256))


@dataclass
class Stub:
    """An action that returns `outcome`."""

    outcome: Outcome
    name: str = "stub"
    about: str = "stand in"
    parameters: tuple[Parameter, ...] = ()

    def run(self, arguments: dict[str, Any], state: State) -> Outcome:
        return self.outcome


def thought(content: str | Call) -> Part:
    return Part(content, "assistant", learned=True, thought=True)


def picture(side: int = 64) -> Image:
    return Image(np.full((side, side, 3), 255, np.uint8))


def returned(document: Document) -> list[Any]:
    return [part.content for part in document if part.author == "tool"]


def changed_cells(image: Image) -> set[tuple[int, int]]:
    """Return row and column of the cells of 16 pixels that differ from what was seen before."""
    assert image.since is not None
    changed_HW = (image.pixels_HWC != image.since.pixels_HWC).any(axis=2)
    return {(int(y) // 16, int(x) // 16) for y, x in np.argwhere(changed_HW)}


def test_what_a_call_returns_follows_it_and_is_not_learned() -> None:
    asked = Document((Part("2+2?"), thought("so"), thought(Call("calculator", '["2+2"]')), thought("well")))
    enacted = enact(asked, ACTIONS)
    assert enacted.parts[:3] + enacted.parts[4:] == asked.parts
    assert enacted.parts[3] == Part("4", "tool")


def test_parts_of_an_action_are_the_tools_whoever_it_says_they_are() -> None:
    told = Document((Part("one", "assistant", learned=True, thought=True), Part("two", "tool")))
    enacted = enact(Document((thought(Call("stub")),)), {"stub": Stub(told)})
    assert enacted.parts[1:] == (Part("one", "tool"), Part("two", "tool"))


def test_a_call_that_was_answered_is_left_and_so_enacting_twice_changes_nothing() -> None:
    one, other = thought(Call("calculator", '["2+2"]')), thought(Call("calculator", '["1+2"]'))
    asked = Document((one, Part("5", "tool"), other))
    enacted = enact(asked, ACTIONS)
    assert returned(enacted) == ["5", "3"]
    assert enact(enacted, ACTIONS) == enacted


def test_other_peoples_calls_and_documents_without_any_stay_as_they_are() -> None:
    asked = Document((Part(picture()), Part(Call("calculator", '["2+2"]'), "user"), Part("4", "assistant")))
    assert enact(asked, ACTIONS) == asked
    assert enact(Document(), ACTIONS) == Document()


def test_what_goes_wrong_is_said_in_the_document() -> None:
    enacted = enact(Document((thought(Call("calculater", '["2"]')), thought(Call("draw", "x")))), ACTIONS)
    assert [text.split(":")[0] for text in returned(enacted)] == ["error", "error"]


def test_every_turn_of_the_users_starts_on_clean_pictures_with_the_pen_lifted() -> None:
    line, on = thought(Call("draw", '["R",[0.5,0.5]]')), thought(Call("draw", '["D"]'))
    asked = Document((Part(picture()), Part("first?"), line, on, Part("done", "assistant"), Part("again?"), line))
    first, second, third = returned(enact(asked, ACTIONS))
    assert changed_cells(first) == {(0, 0), (0, 1)} and changed_cells(second) == {(0, 1), (1, 1)}
    np.testing.assert_array_equal(third.pixels_HWC, first.pixels_HWC)
    (failed,) = returned(enact(Document((*asked.parts[:2], on)), ACTIONS))
    assert "the pen has been nowhere yet" in failed


def test_pictures_of_one_turn_count_in_order_and_settings_reach_the_state() -> None:
    look = thought(Call("crop", "[[0,1,1,1],1]"))
    asked = Document((Part(picture(16)), Part(picture(128)), look))
    assert [crop.width for crop in returned(enact(asked, ACTIONS))] == [16]
    assert [crop.width for crop in returned(enact(asked, ACTIONS, max_side=64))] == [32]
    assert [crop.width for crop in returned(enact(asked, ACTIONS, cell=8))] == [8]


def test_what_comes_later_is_waited_for_and_agents_are_refused() -> None:
    asked = Document((thought(Call("stub")),))
    with ThreadPoolExecutor() as pool:
        assert returned(enact(asked, {"stub": Stub(pool.submit(said, "late"))})) == ["late"]
    with pytest.raises(ActionError, match="stub sends out agents"):
        enact(asked, {"stub": Stub(Branches((), lambda found: Document(), tokens=1))})


@pytest.mark.parametrize(("name", "split"), list(product(DRAWN, ("train", "held_out"))))
def test_the_steps_of_every_family_can_be_carried_out(name: str, split: Split) -> None:
    task = build_task(name)
    acted = 0
    for seed, difficulty in product(range(4), DIFFICULTIES):
        example = task.sample(seed, difficulty, split)
        trace = task.trace(example, acting=True)
        enacted = enact(trace, ACTIONS, max_side=256)
        calls = [part for part in trace if isinstance(part.content, Call)]
        assert len(enacted) == len(trace) + len(calls)
        assert not any(str(content).startswith("error") for content in returned(enacted) if isinstance(content, str))
        acted += len(calls)
        answers = [part.content for part in trace if part.author == "assistant" and not part.thought]
        assert said_by(enacted) == answers and set(answers) <= {question.answer for question in example.questions}
    assert (acted > 0) == (name in ACTING)


def said_by(document: Document) -> list[str]:
    """Return the answers that a document teaches once perceived: what is learned after the thoughts of each turn."""
    sequence = PERCEPTION(document)
    names = {id: name for name, id in PERCEPTION.special.items()}
    answers, answer = [], []
    for token, weight in zip(sequence.tokens_T.tolist(), sequence.weights_T.tolist(), strict=True):
        mark = names.get(token)
        if mark == "end":
            assert weight == 1
            answers.append(PERCEPTION.tokenizer.decode(answer))
        elif mark is None and weight:
            answer.append(token)
        answer = [] if mark else answer
    return answers


def test_ways_are_drawn_from_cell_to_cell_and_end_at_the_goal() -> None:
    task, moves = build_task("mazes"), {"R": (0, 1), "D": (1, 0), "L": (0, -1), "U": (-1, 0)}
    for seed in range(40):
        example = task.sample(seed, 1 + seed % 6)
        for question in example.questions:
            if question.kind == "way":
                document = enact(task.trace(replace(example, questions=(question,)), acting=True), ACTIONS)
                calls = [json.loads(part.content.arguments)[0] for part in document if isinstance(part.content, Call)]
                drawn = returned(document)
                green_HW = (drawn[0].since.pixels_HWC == PALETTE["green"]).all(axis=2)
                here = tuple(int(place) // 16 for place in np.argwhere(green_HW)[0])
                for letters, image in zip(calls, drawn, strict=True):
                    passed = {here}
                    for letter in letters:
                        here = here[0] + moves[letter][0], here[1] + moves[letter][1]
                        passed.add(here)
                    assert changed_cells(image) == passed
                assert (drawn[0].since.pixels_HWC[here[0] * 16 + 3, here[1] * 16 + 3] == PALETTE["red"]).all()


def single(trace: Document, index: int) -> Document:
    """Return the context and the turn of one question."""
    asked = [place for place, part in enumerate(trace) if part.author == "user" and isinstance(part.content, str)]
    start, stop = asked[index], [*asked, len(trace)][index + 1]
    return Document(trace.parts[: asked[0]] + trace.parts[start:stop])


def test_marks_change_one_patch_each_and_stand_on_what_they_mark() -> None:
    for name, kinds in (("charts", None), ("scenes", ("count", "count some", "side", "which side"))):
        task = build_task(name)
        for seed in range(40):
            example = task.sample(seed, 1 + seed % 10)
            for index, question in enumerate(example.questions):
                drawn = returned(enact(single(task.trace(example, acting=True), index), ACTIONS))
                assert not question.steps or kinds is None or question.kind in kinds
                marked: set[tuple[int, int]] = set()
                for image in (content for content in drawn if isinstance(content, Image)):
                    cells = changed_cells(image)
                    if not cells:  # two series may meet in one cell: it is ringed already
                        assert name == "charts" and marked
                        continue
                    ((row, column),) = cells - marked
                    marked |= cells
                    before_HWC = drawn[0].since.pixels_HWC[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
                    assert len(np.unique(before_HWC.reshape(-1, 3), axis=0)) > 1, "there is something in the cell"


def test_bars_are_marked_at_their_tops() -> None:
    task, seen = build_task("charts"), 0
    for seed in range(40):
        example = task.sample(seed, 1)
        for index, question in enumerate(example.questions):
            if question.kind in ("largest", "smallest"):
                drawn = returned(enact(single(task.trace(example, acting=True), index), ACTIONS))
                picture_HWC = drawn[0].since.pixels_HWC
                coloured_HW = (picture_HWC.max(axis=2).astype(int) - picture_HWC.min(axis=2)) > 40
                tops = [int(coloured_HW[:, x].argmax()) // 16 for x in range(24, picture_HWC.shape[1], 16)]
                assert [changed_cells(image) for image in drawn] == [{(y, x)} for x, y in enumerate(tops, 1)]
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("name", ["sums", "countdown"])
def test_the_calculator_says_what_the_answer_is(name: str) -> None:
    task, asked = build_task(name), 0
    for seed in range(200):
        example = task.sample(seed, 1 + seed % 10)
        question = example.questions[0]
        for text in returned(enact(task.trace(example, acting=True), ACTIONS)):
            assert text == (question.answer if name == "sums" else str(question.facts["target"]))
            asked += 1
    assert asked > 150


def test_relations_that_are_stated_agree_with_the_answers() -> None:
    task, seen = build_task("scenes"), 0
    for seed in range(80):
        for question in task.sample(seed, 3).questions:
            if question.kind == "side":
                relation = question.steps[-1]
                assert isinstance(relation, Call) and relation.name == "relate"
                side = next(side for side in ("left of", "right of", "above", "below") if side in question.text)
                assert (side in relation.arguments) == (question.answer == "yes")
                seen += 1
    assert seen > 20
