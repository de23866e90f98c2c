"""The mixture: one index, one document; thoughts act in the share that is asked for, and where they must."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.data.build import build
from castalia.data.catalog import build_task
from castalia.data.mixture import DataConfig, Mixture
from castalia.document import Call, Document, Image
from castalia.errors import RecipeError
from castalia.perception.perceive import PerceptionConfig
from castalia.tasks.merging import BRIEFS
from castalia.tasks.task import Split

SMALL = PerceptionConfig(max_side=256)
ACTING = {"mazes": 1.0, "charts": 1.0, "scenes": 1.0, "sums": 1.0, "countdown": 1.0}


def acts(document: Document) -> bool:
    return any(isinstance(part.content, Call) for part in document)


def contents(document: Document) -> list[tuple[Any, ...]]:
    """Return what makes two documents the same: pictures by their pixels."""
    shown = [p.content.pixels_HWC.tobytes() if isinstance(p.content, Image) else p.content for p in document]
    return [(content, p.author, p.learned, p.thought) for content, p in zip(shown, document, strict=True)]


@pytest.fixture
def mix() -> Callable[..., Mixture]:
    """Return a function that makes a mixture of families, of whatever settings."""
    return lambda mixture, **settings: Mixture(DataConfig(mixture, **settings), build_task, perception=SMALL)


def test_without_acting_documents_are_plain_traces(mix: Callable[..., Mixture]) -> None:
    for name in ACTING:
        task, mixture = build_task(name), mix({name: 1.0}, difficulties=(3,))
        for index in range(20):
            assert contents(mixture.document(index)) == contents(task.trace(task.sample(index, 3)))


def test_a_document_has_as_many_questions_as_are_wanted_and_not_always_the_same(mix: Callable[..., Mixture]) -> None:
    task, every = build_task("charts"), mix({"charts": 1.0}, difficulties=(3,), questions=1)
    places = set()
    for index in range(30):
        texts = [question.text for question in task.sample(index, 3).questions]
        (asked,) = [p.content for p in every.document(index) if p.author == "user" and isinstance(p.content, str)]
        places.add(texts.index(asked))
    assert len(places) > 1


def test_the_same_index_gives_the_same_document_whatever_was_made_before(mix: Callable[..., Mixture]) -> None:
    mixture, again = (mix(ACTING | {"search": 1.0}, acting=0.5, media={"text": 1, "picture": 1}) for _ in range(2))
    made = [contents(mixture.document(index)) for index in range(60)]
    assert [contents(again.document(index)) for index in reversed(range(60))] == made[::-1]


def test_the_share_of_acting_documents_is_the_one_asked_for(mix: Callable[..., Mixture]) -> None:
    for share in (0.0, 0.3, 1.0):
        mixture = mix({"countdown": 1.0}, acting=share)
        found = np.mean([acts(mixture.document(index)) for index in range(400)])
        assert abs(found - share) < 3.5 * (share * (1 - share) / 400) ** 0.5 + 1e-9


def test_only_tasks_that_are_named_act(mix: Callable[..., Mixture]) -> None:
    mixture = mix({"mazes": 1.0, "countdown": 1.0}, acting=1.0, acting_in=("mazes",))
    documents = [mixture.document(index) for index in range(60)]
    assert all(document.parts[0].content == "act" for document in documents)
    drawn_in = [any(isinstance(part.content, Image) for part in document) for document in documents]
    assert [acts(document) for document in documents] == drawn_in and 10 < sum(drawn_in) < 50


def pictures(document: Document) -> list[np.ndarray]:
    """Return what is shown by whoever asks."""
    return [p.content.pixels_HWC for p in document if p.author == "user" and isinstance(p.content, Image)]


def test_which_examples_there_are_does_not_depend_on_how_many_act(mix: Callable[..., Mixture]) -> None:
    plain, acting = mix(ACTING), mix(ACTING, acting=1.0)
    for index in range(40):
        one, other = plain.document(index), acting.document(index)
        asked, when_acting = (
            {p.content for p in d if p.author == "user" and isinstance(p.content, str)} for d in (one, other)
        )
        assert when_acting <= asked and (when_acting == asked or pictures(one))
        for before, after in zip(pictures(one), pictures(other), strict=True):
            np.testing.assert_array_equal(before, after)


def test_what_is_called_was_really_done_also_where_questions_are_in_the_picture(mix: Callable[..., Mixture]) -> None:
    mixture = mix(ACTING | {"search": 1.0}, acting=1.0, media={"picture": 1.0})
    for index in range(60):
        document = mixture.document(index)
        for part, following in zip(document, document.parts[1:], strict=False):
            if isinstance(part.content, Call):
                assert following.author == "tool" and not str(following.content).startswith("error")


def test_search_always_acts_and_its_pictures_are_seen_small(mix: Callable[..., Mixture]) -> None:
    mixture = mix({"search": 1.0})
    for index in range(20):
        document = mixture.document(index)
        crops = [part.content for part in document if part.author == "tool"]
        assert acts(document) and crops
        assert all(isinstance(crop, Image) and crop.height == 64 for crop in crops)


def test_efforts_are_told_and_kept_in_the_shares_asked_for(mix: Callable[..., Mixture]) -> None:
    efforts = {"none": 0.2, "minimal": 0.2, "medium": 0.3, "high": 0.3}
    mixture = mix({"countdown": 1.0}, efforts=efforts, difficulties=(3,))
    documents = [mixture.document(index) for index in range(600)]
    told = [next((p.content for p in document if p.author == "system"), "medium") for document in documents]
    for effort, share in efforts.items():
        assert abs(told.count(effort) / 600 - share) < 3.5 * (share * (1 - share) / 600) ** 0.5
    for effort, document in zip(told, documents, strict=True):
        thoughts = sum(len(p.content) for p in document if p.thought)
        assert (thoughts == 0) if effort == "none" else (thoughts <= 16 if effort == "minimal" else thoughts > 0)


def test_who_acts_is_told_that_it_can_and_is_not_asked_for_little(mix: Callable[..., Mixture]) -> None:
    mixture = mix({"mazes": 1.0, "search": 1.0}, acting=1.0, efforts={"none": 0.9, "high": 0.1})
    for index in range(30):
        assert mixture.document(index).parts[0].content == "high act"


def test_the_share_of_documents_with_several_agents_is_the_one_asked_for(mix: Callable[..., Mixture]) -> None:
    mixture = mix({"countdown": 1.0}, merging=0.4)
    documents = [mixture.document(index) for index in range(400)]
    merging = [any(part.author == "tool" or part.content in BRIEFS for part in document) for document in documents]
    assert abs(np.mean(merging) - 0.4) < 3.5 * (0.4 * 0.6 / 400) ** 0.5


def test_agents_are_sent_out_only_where_there_is_effort_enough_to_act(mix: Callable[..., Mixture]) -> None:
    mixture = mix({"countdown": 1.0}, merging=1.0, efforts={"none": 0.5, "low": 0.4, "medium": 0.05, "high": 0.05})
    told = [str(mixture.document(index).parts[0].content) for index in range(200)]
    sending = [words for words in told if words.endswith("agents")]
    assert len(sending) > 40 and set(sending) == {"agents", "high agents"}


def test_thoughts_begin_with_the_question_where_it_is_asked_otherwise(mix: Callable[..., Mixture]) -> None:
    task = build_task("sums")
    for settings in ({"reworded": 1.0}, {"media": {"picture": 1}}, {}):
        mixture = mix({"sums": 1.0}, difficulties=(1,), **settings)
        for index in range(20):
            question = task.sample(index, 1).questions[0]
            said = [part.content for part in mixture.document(index) if part.author == "assistant"]
            assert (said[0] == f"{question.text}\n") == bool(settings) and said[-1] == question.answer
    mixture = mix({"sums": 1.0}, difficulties=(1,), media={"picture": 1}, efforts={"minimal": 1.0})
    thoughts = [str(part.content) for index in range(20) for part in mixture.document(index) if part.thought]
    assert any(thoughts) and not any(thought.endswith("\n") for thought in thoughts)  # which would take all there are


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"perception\.max_side=256"):
        Mixture(DataConfig({"search": 1.0}), build_task)
    with pytest.raises(RecipeError, match=r"perception\.patch_size=16"):
        Mixture(DataConfig({"mazes": 1.0}, acting=0.5), build_task, perception=PerceptionConfig(patch_size=8))
    for share in ("acting", "merging"):
        with pytest.raises(RecipeError, match=rf"data\.{share} is a share from 0 to 1"):
            Mixture(DataConfig({"mazes": 1.0}, **{share: 1.5}), build_task)
    with pytest.raises(RecipeError, match="did you mean 'high'"):
        Mixture(DataConfig({"mazes": 1.0}, efforts={"hihg": 1.0}), build_task)
    assert Mixture(DataConfig({"mazes": 1.0}), build_task, perception=PerceptionConfig(patch_size=8)).document(0).parts


def test_one_in_ten_of_ones_own_documents_is_held_out_unless_they_are_few(tmp_path: Path) -> None:
    def drawn(count: int, split: Split) -> set[str]:
        file = tmp_path / f"{count}.jsonl"
        said = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "Yes."}] for n in range(count)]
        file.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in said))
        build(file, tmp_path / str(count))
        mixture = Mixture(DataConfig({str(tmp_path / str(count)): 1.0}), build_task, split)
        return {str(mixture.document(index).parts[0].content) for index in range(400)}

    held_out = drawn(40, "held_out")
    assert 1 <= len(held_out) <= 10
    assert drawn(40, "train") == {f"{n}?" for n in range(40)} - held_out
    assert held_out <= drawn(60, "held_out"), "what is held out stays so when more is built"
    assert drawn(3, "train") == drawn(3, "held_out") == {"0?", "1?", "2?"}
