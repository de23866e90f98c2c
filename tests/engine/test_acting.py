"""The engine stops at a call, has it carried out, and goes on with what came back in the sequence."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console

from castalia.actions.action import Branches, Outcome
from castalia.actions.agents import join
from castalia.document import Call, Document, Image, Part, Speech
from castalia.engine.engine import Engine
from castalia.engine.request import Budget, Reply, Request, Sampling, State
from castalia.model.decoder import ModelInput
from castalia.perception.packing import collate
from castalia.perception.sequence import Sequence
from castalia.perception.text import SPECIAL
from castalia.serve.service.transcript import usage_of
from castalia.watching import Watcher

Prompts = Callable[..., list[Document]]


class Script:
    """A grammar that allows one token at a time: what the model is made to write; then anything but marks."""

    def __init__(self, tokens: list[int], vocabulary: int) -> None:
        self.tokens, self.vocabulary, self.at = tokens, vocabulary, 0

    def mask(self, state: State) -> np.ndarray | None:
        allowed_V = np.zeros(self.vocabulary, bool)
        if self.at >= len(self.tokens):
            allowed_V[len(SPECIAL) :] = True
            return allowed_V
        allowed_V[self.tokens[self.at]] = True
        return allowed_V

    def accept(self, token: int, state: State) -> bool:
        self.at += 1
        return False


class Recorder:
    """An actor that keeps what it was asked and answers with `outcome`."""

    def __init__(self, outcome: Callable[[Call], Outcome], forks: list["Recorder"] | None = None) -> None:
        self.outcome, self.calls = outcome, []
        self.forks: list[Recorder] = [] if forks is None else forks

    def act(self, call: Call) -> Outcome:
        self.calls.append(call)
        return self.outcome(call)

    def fork(self) -> "Recorder":
        self.forks.append(Recorder(self.outcome))
        return self.forks[-1]


@pytest.fixture
def script(engine: Engine) -> Callable[..., Sampling]:
    """Return a function that makes a sampling which writes texts and <marks>."""

    def make(*items: str, **settings: float) -> Sampling:
        tokens = []
        for item in items:
            mark = item.strip("<>")
            is_mark = item.startswith("<") and mark in engine.perception.special
            tokens += [engine.perception.special[mark]] if is_mark else engine.perception.tokenizer.encode(item)
        return Sampling(grammar=lambda: Script(tokens, engine.model.config.vocab_size), **settings)

    return make


def test_what_a_call_returns_does_not_end_a_reply(engine: Engine, script: Callable[..., Sampling]) -> None:
    actor = Recorder(lambda call: Document((Part("1; 2", "tool"),)))
    written = script("<think>", "<call>", "look {}", "</call>", "</think>", "one; two", "<end>")
    assert ask(engine, actor, replace(written, stop=(";",))).answer == "one"
    assert ask(engine, actor, replace(written, stop=("2",))).answer == "one; two"


def test_blanks_between_calls_are_not_thoughts(engine: Engine, script: Callable[..., Sampling]) -> None:
    actor = Recorder(lambda call: Document((Part("3", "tool"),)))
    call = ("<call>", "look {}", "</call>")
    reply = ask(engine, actor, script("<think>", "a", *call, " ", *call, "b", "</think>", "c", "<end>"))
    assert (reply.thoughts, reply.answer) == ("a b", "c")


def test_the_end_of_a_call_without_a_beginning_is_nothing(engine: Engine, script: Callable[..., Sampling]) -> None:
    actor = Recorder(lambda call: Document((Part("3", "tool"),)))
    reply = ask(engine, actor, script("one and two", "</call>", "red", "<end>"))
    assert (reply.answer, actor.calls) == ("one and two red", [])
    assert not any(isinstance(part.content, Call) for part in reply.document)


def picture(*inked: tuple[int, int]) -> Image:
    pixels_HWC = np.full((48, 64, 3), 255, np.uint8)
    for row, column in inked:
        pixels_HWC[row * 16 + 3 : row * 16 + 9, column * 16 + 2] = (200, 10 * row, 10 * column)
    return Image(pixels_HWC)


def ask(engine: Engine, actor: Recorder, sampling: Sampling, budget: Budget | None = None) -> Reply:
    question = Document((Part(picture((0, 1), (2, 2))), Part("which?")))
    return engine.generate([question], sampling, budget or Budget(40), [actor])[0]


def test_a_call_is_carried_out_and_its_result_perceived(engine: Engine, script: Callable[..., Sampling]) -> None:
    actor = Recorder(lambda call: Document((Part("3", "tool"),)))
    reply = ask(
        engine, actor, script("<think>", "a", "<call>", 'sum {"of":[1]}', "</call>", "b", "</think>", "c", "<end>")
    )
    assert actor.calls == [Call("sum", '{"of":[1]}')]
    assert [(p.content, p.author, p.thought) for p in reply.document] == [
        ("a", "assistant", True),
        (Call("sum", '{"of":[1]}'), "assistant", True),
        ("3", "tool", False),
        ("b", "assistant", True),
        ("c", "assistant", False),
    ]
    assert (reply.answer, reply.stopped) == ("c", "end")


def test_what_was_written_and_returned_reads_as_the_document_perceived_whole(
    engine: Engine, script: Callable[..., Sampling]
) -> None:
    seen = picture((0, 1), (2, 2))
    drawn = Image(picture((0, 1), (2, 2), (1, 1)).pixels_HWC, since=seen)
    actor = Recorder(lambda call: Document((Part(drawn, "tool"), Part("two", "tool"))))
    reply = ask(engine, actor, script("<think>", "a", "<call>", "look {}", "</call>", "b", "</think>", "c", "<end>"))
    asked = Document((Part(seen), Part("which?")))
    whole = engine.perception(asked + reply.document)
    for name in ("tokens_T", "kinds_T", "places_T3", "images_T", "patches_NP", "frames_MF"):
        np.testing.assert_array_equal(getattr(reply.sequence, name), getattr(whole, name), name)
    changed = reply.sequence.spans[1]
    assert changed.stop - changed.start == 2, "the background and the one patch that was drawn into"
    assert reply.sequence.tokens_T[reply.sequence.weights_T == 1].tolist() == reply.tokens


@torch.no_grad()
def test_logprobs_after_pictures_and_sounds_that_came_back_equal_the_trainers(
    engine: Engine, script: Callable[..., Sampling], prompts: Prompts
) -> None:
    generator = np.random.default_rng(0)

    def outcome(call: Call) -> Document:
        sound = Speech(generator.normal(0, 0.1, int(generator.integers(500, 9000))).astype(np.float32))
        inked = [(int(r), int(c)) for r, c in generator.integers(0, 3, (int(generator.integers(1, 6)), 2))]
        return Document((Part(picture(*inked), "tool"), Part(sound, "tool"), Part("two", "tool")))

    writing = script("one", "<call>", "look {}", "</call>", "and", "<call>", "x", "</call>", temperature=1.0)
    asked = prompts(100, seed=9)
    replies = engine.generate(asked, writing, Budget(24), [Recorder(outcome) for _ in asked])
    for reply in replies:
        sequence: Sequence = reply.sequence
        batch = collate([[sequence]], len(sequence), 0)
        logits_LV = engine.model(ModelInput.of(batch), torch.from_numpy(batch.learn_at_L))
        trained_L = logits_LV.log_softmax(-1)[torch.arange(len(logits_LV)), torch.from_numpy(batch.targets_L)]
        np.testing.assert_allclose(batch.logprobs_L, trained_L.numpy(), rtol=0, atol=1e-4)
        assert reply.logprobs == pytest.approx(batch.logprobs_L.tolist())


def test_while_one_waits_for_its_action_others_go_on(engine: Engine, script: Callable[..., Sampling]) -> None:
    with ThreadPoolExecutor() as pool:

        def slow(call: Call) -> Future:
            return pool.submit(lambda: (time.sleep(0.3), Document((Part("3", "tool"),)))[1])

        question = Document((Part("which?"),))
        acting = engine.submit(
            question, script("<call>", "wait", "</call>", "one", "<end>"), Budget(30), Recorder(slow)
        )
        quick = engine.submit(question, script("two", "<end>"), Budget(30))
        order = []
        while not engine.idle:
            order += [event.request for event in engine.step() if event.reply]
    assert order == [quick, acting]
    assert engine.reader.reply(acting).answer == "one"


def test_agents_are_sent_out_together_and_only_what_is_joined_comes_back(
    engine: Engine, script: Callable[..., Sampling]
) -> None:
    joined: list[list[Document]] = []

    def outcome(call: Call) -> Outcome:
        if call.name != "spawn":
            return Document((Part("no", "tool"),))

        def join(documents: list[Document]) -> Document:
            joined.append(documents)
            return Document(tuple(Part(document.text(), "tool") for document in documents))

        return Branches(tuple(Document((Part(text, "tool"),)) for text in ("left", "right")), join, tokens=9)

    actor = Recorder(outcome)
    writing = script("<think>", "<call>", "spawn {}", "</call>", "</think>", "c", "<end>")
    reply = ask(engine, actor, writing)
    assert len(actor.forks) == 2
    (documents,) = joined
    assert len(documents) == 2
    assert [p.author for p in reply.document] == ["assistant", "tool", "tool", "assistant"]
    assert reply.answer == "c"


def test_agents_that_were_sent_out_are_shown_side_by_side(engine: Engine, script: Callable[..., Sampling]) -> None:
    briefs = Branches(tuple(Document((Part(text, "tool"),)) for text in ("left", "right")), join, tokens=4)
    writing = script("<think>", "<call>", "spawn {}", "</call>", "</think>", "c", "<end>")
    console = Console(file=StringIO(), width=100)
    watcher, actor = Watcher(engine, console), Recorder(lambda call: briefs)
    for event in engine.stream([Document((Part("which?"),))], writing, Budget(60), [actor]):
        watcher(event)
    shown = console.file.getvalue()
    assert any("agent 1" in line and "agent 2" in line for line in shown.splitlines())
    assert shown.index("spawn {}") < shown.index("agent 1") < shown.rindex("c")


def test_what_agents_write_is_counted_where_they_were_sent_out(engine: Engine, script: Callable[..., Sampling]) -> None:
    briefs = Branches(tuple(Document((Part(text, "tool"),)) for text in ("left", "right")), join, tokens=4)
    writing = script("<think>", "<call>", "spawn {}", "</call>", "</think>", "c", "<end>")
    parent, written = None, dict[Request, int]()
    for event in engine.stream([Document((Part("which?"),))], writing, Budget(60), [Recorder(lambda call: briefs)]):
        parent = event.request if not event.request.depth else parent
        if event.token is not None and event.request.depth:
            written[event.request] = written.get(event.request, 0) + 1
    assert parent is not None and len(written) == 2
    assert parent.delegated == sum(written.values()) > 0
    usage = usage_of(parent)
    assert (usage.completion, usage.reasoning) == (parent.written + parent.delegated, parent.thought + parent.delegated)


def test_too_many_actions_end_the_reply(engine: Engine, script: Callable[..., Sampling]) -> None:
    actor = Recorder(lambda call: Document((Part("3", "tool"),)))
    reply = ask(engine, actor, script(*("<call>", "x", "</call>") * 9), Budget(60, actions=3))
    assert (len(actor.calls), reply.stopped) == (3, "length")


def test_thoughts_are_ended_when_their_budget_is_spent_and_the_model_answers(
    engine: Engine, prompts: Prompts, script: Callable[..., Sampling]
) -> None:
    (prompt,) = prompts(1)
    reply = engine.generate([prompt], script("<think>"), Budget(40, thinking=5))[0]
    special = engine.perception.special
    assert reply.tokens.index(special["/think"]) == 6
    at = reply.sequence.tokens_T.tolist().index(special["/think"])
    assert reply.sequence.weights_T[at] == 0, "what the model did not choose is not learned"
    assert reply.thoughts
    assert reply.answer


def test_a_reply_ends_when_its_time_is_over(engine: Engine, script: Callable[..., Sampling]) -> None:
    never: Future = Future()
    reply = ask(engine, Recorder(lambda call: never), script("<call>", "x", "</call>"), Budget(40, seconds=0.2))
    assert reply.stopped == "time"
    assert engine.idle


def test_a_cancelled_request_frees_its_memory_at_once(engine: Engine, prompts: Prompts) -> None:
    free = engine.pool.free
    requests = [engine.submit(prompt, Sampling(1.0), Budget(500)) for prompt in prompts(20)]
    for _ in range(5):
        engine.step()
    assert engine.pool.free < free
    for request in requests:
        engine.cancel(request)
    assert engine.pool.free == free
    assert engine.idle


def test_a_reply_ends_at_a_stop_text(engine: Engine, script: Callable[..., Sampling]) -> None:
    sampling = script("one and two", "<end>")
    stopping = Sampling(grammar=sampling.grammar, stop=(" and",))
    reply = engine.generate([Document((Part("which?"),))], stopping, Budget(40))[0]
    assert (reply.answer, reply.stopped) == ("one", "stop")
