"""The engine writes what the model would be trained on: the same log-probabilities, whatever else is in the batch."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from castalia.document import Document, Image, Part
from castalia.engine.engine import Engine
from castalia.engine.request import Budget, Reply, Sampling
from castalia.errors import EngineError
from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder, ModelInput
from castalia.perception.packing import collate, pack
from castalia.perception.sequence import Sequence
from castalia.reasoning.strategies import OneChain

Prompts = Callable[..., list[Document]]
Continued = Callable[[Sequence, list[int]], Sequence]

DRAWN, TWELVE = Sampling(temperature=1.0, seed=3), Budget(12)


@torch.no_grad()
def trained_logprobs(model: Decoder, sequences: list[Sequence]) -> dict[tuple[int, ...], list[float]]:
    """Return the log-probabilities of each sequence's learned tokens as the trainer computes them, packed in rows."""
    found = {}
    for batch in pack(sequences, rows=4, length=384, pad=0):
        logits_LV = model(ModelInput.of(batch), torch.from_numpy(batch.learn_at_L))
        logprobs_L = logits_LV.log_softmax(-1)[torch.arange(len(logits_LV)), torch.from_numpy(batch.targets_L)]
        at = (batch.learn_at_L // batch.tokens_BT.shape[1], batch.documents_BT.ravel()[batch.learn_at_L])
        for row, document in dict.fromkeys(zip(*(a.tolist() for a in at), strict=True)):
            tokens = batch.tokens_BT[row, batch.documents_BT[row] == document]
            found[tuple(tokens.tolist())] = logprobs_L[(at[0] == row) & (at[1] == document)].tolist()
    return found


def stripped(replies: list[Reply]) -> list[tuple[list[int], str]]:
    return [(reply.tokens, reply.stopped) for reply in replies]


@pytest.fixture(scope="module")
def written(engine: Engine, prompts: Prompts) -> list[Reply]:
    return engine.generate(prompts(300), DRAWN, TWELVE)


def test_logprobs_of_300_replies_equal_the_trainers(
    engine: Engine, prompts: Prompts, written: list[Reply], continued: Continued
) -> None:
    asked = [engine.perception(prompt, reply=True) for prompt in prompts(300)]
    assert {int(kind) for sequence in asked for kind in sequence.kinds_T} == {0, 1, 2}
    whole = [continued(prompt, reply.tokens) for prompt, reply in zip(asked, written, strict=True)]
    trained = trained_logprobs(engine.model, whole)
    for sequence, reply in zip(whole, written, strict=True):
        expected = trained[tuple(sequence.tokens_T.tolist())]
        np.testing.assert_allclose(reply.logprobs, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 0},
        {"kv_heads": 2},
        {"parallel_blocks": False, "activation": "swiglu"},
        {"experts": 3, "experts_per_token": 2},
        {"rope_axes": 1, "global_positions": True, "bidirectional_images": False},
        {"value_embeddings": False, "tied_head": True, "softcap": 0.0},
        {"vision_layers": 2},
    ],
)
def test_logprobs_equal_the_trainers_in_models_of_other_parts(
    make_engine: Callable[[ModelConfig], Engine],
    config: ModelConfig,
    prompts: Prompts,
    continued: Continued,
    settings: dict,
) -> None:
    engine = make_engine(replace(config, **settings))
    replies = engine.generate(prompts(24, seed=1), DRAWN, TWELVE)
    again = engine.generate(prompts(24, seed=1), DRAWN, TWELVE)  # with what the cache holds of them
    assert any(reply.cached_tokens for reply in again)
    asked = [engine.perception(prompt, reply=True) for prompt in prompts(24, seed=1)]
    whole = [continued(prompt, reply.tokens) for prompt, reply in zip(asked, replies, strict=True)]
    trained = trained_logprobs(engine.model, whole)
    for sequence, *its in zip(whole, replies, again, strict=True):
        for reply in its:
            np.testing.assert_allclose(reply.logprobs, trained[tuple(sequence.tokens_T.tolist())], rtol=0, atol=1e-4)


def test_replies_stop_at_the_end_or_at_the_longest_length(engine: Engine, written: list[Reply]) -> None:
    end = engine.perception.special["end"]
    assert {reply.stopped for reply in written} == {"end", "length"}
    for reply in written:
        assert end not in reply.tokens[:-1]
        assert (reply.tokens[-1] == end) == (reply.stopped == "end")
        assert len(reply.tokens) == TWELVE.tokens or reply.stopped == "end"
        assert len(reply.tokens) == len(reply.logprobs) <= TWELVE.tokens


def test_a_reply_does_not_end_before_it_is_as_long_as_it_must_be(
    engine: Engine, prompts: Prompts, written: list[Reply]
) -> None:
    longer = engine.generate(prompts(300), replace(DRAWN, min_tokens=8), TWELVE)
    assert any(len(reply.tokens) < 8 for reply in written)
    assert all(len(reply.tokens) >= 8 for reply in longer)
    assert any(reply.stopped == "end" for reply in longer), "then it may"


def test_a_longer_limit_goes_on_where_a_shorter_one_stopped(
    engine: Engine, prompts: Prompts, written: list[Reply]
) -> None:
    shorter = engine.generate(prompts(300), DRAWN, Budget(5))
    for short, long in zip(shorter, written, strict=True):
        assert short.tokens == long.tokens[:5]


@torch.no_grad()
def test_the_greedy_reply_is_the_likeliest_token_of_a_full_pass_each_time(
    engine: Engine, prompts: Prompts, continued: Continued
) -> None:
    asked = prompts(12, seed=2)
    replies = engine.generate(asked, budget=Budget(10))
    for prompt, reply in zip(asked, replies, strict=True):
        sequence = engine.perception(prompt, reply=True)
        for step, token in enumerate(reply.tokens):
            so_far = continued(sequence, reply.tokens[:step])
            batch = ModelInput.of(collate([[so_far]], len(so_far), 0))
            logits_V = engine.model(batch)[-1]
            assert token == int(logits_V.argmax())


def test_one_seed_draws_the_same_and_another_seed_differently(
    engine: Engine, prompts: Prompts, written: list[Reply]
) -> None:
    again = engine.generate(prompts(300), DRAWN, TWELVE)
    other = engine.generate(prompts(300), replace(DRAWN, seed=4), TWELVE)
    assert stripped(again) == stripped(written)
    assert sum(a != b for a, b in zip(stripped(other), stripped(written), strict=True)) > 250


def test_a_prompt_is_answered_alike_whatever_else_is_in_the_batch(
    engine: Engine, prompts: Prompts, written: list[Reply]
) -> None:
    asked, others = prompts(300), prompts(300, seed=5)
    for index in (0, 7, 150):
        alone = engine.generate([*others[:index], asked[index]], DRAWN, TWELVE)[index]
        amid = engine.generate([*others[:index], asked[index], *others[index:200]], DRAWN, TWELVE)[index]
        assert alone.tokens == amid.tokens == written[index].tokens
        np.testing.assert_allclose(alone.logprobs, amid.logprobs, rtol=0, atol=1e-4)


def test_drawing_prefers_what_is_likelier_the_more_the_colder_it_is(engine: Engine, prompts: Prompts) -> None:
    means = []
    for temperature in (0.0, 0.3, 1.0, 3.0):
        replies = engine.generate(prompts(60), Sampling(temperature), Budget(8))
        means.append(np.mean([logprob for reply in replies for logprob in reply.logprobs]))
    assert means == sorted(means, reverse=True)


def test_equal_prompts_are_drawn_differently_from_one_another(engine: Engine, prompts: Prompts) -> None:
    replies = engine.generate(prompts(1) * 16, DRAWN, TWELVE)
    assert len({tuple(reply.tokens) for reply in replies}) > 8


def test_replies_come_in_the_order_of_their_prompts(engine: Engine, prompts: Prompts) -> None:
    asked = prompts(100, seed=6)
    replies = engine.generate(asked, budget=Budget(6))
    order = random.Random(0).sample(range(100), 100)
    shuffled = engine.generate([asked[i] for i in order], budget=Budget(6))
    assert stripped(shuffled) == stripped([replies[i] for i in order])
    assert len({tuple(reply.tokens) for reply in replies}) > 10


def test_a_prompt_has_as_many_replies_as_are_asked_for(engine: Engine, prompts: Prompts) -> None:
    thrice = engine.generate(prompts(4), Sampling(1.0, seed=3, n=3), TWELVE)
    repeated = [prompt for prompt in prompts(4) for _ in range(3)]
    assert stripped(thrice) == stripped(engine.generate(repeated, DRAWN, TWELVE))
    with pytest.raises(ValueError, match="n must be 1 or more"):
        Sampling(n=0)


@pytest.mark.parametrize("positions", [1, 7, 64])
def test_how_many_positions_a_step_computes_changes_nothing(
    engine: Engine, prompts: Prompts, written: list[Reply], positions: int
) -> None:
    chunked = Engine(engine.model, engine.perception, positions=positions)
    assert stripped(chunked.generate(prompts(300)[:60], DRAWN, TWELVE)) == stripped(written[:60])


def noise(side: int, seed: int) -> Document:
    pixels_HWC = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Document((Part("Which"), Part(Image(pixels_HWC)), Part("is red?")))


@pytest.mark.parametrize("positions", [1, 7, 64])
def test_pictures_larger_than_a_step_change_nothing(engine: Engine, prompts: Prompts, positions: int) -> None:
    asked = [*prompts(10), *(noise(side, side) for side in (40, 96, 130, 160, 170)), *prompts(20)[10:]]
    expected = engine.generate(asked, DRAWN, TWELVE)
    chunked = Engine(engine.model, engine.perception, positions=positions)
    assert stripped(chunked.generate(asked, DRAWN, TWELVE)) == stripped(expected)


def test_a_large_picture_does_not_wait_until_nobody_writes(engine: Engine, prompts: Prompts) -> None:
    busy = Engine(engine.model, engine.perception, positions=64)
    written = Sampling(1.0, min_tokens=200)
    others = [busy.submit(prompt, written, Budget(200)) for prompt in prompts(3)]
    picture = busy.submit(noise(160, 0), DRAWN, Budget(3))
    for _ in range(100):
        busy.step()
    assert picture.stopped is not None
    assert all(other.stopped is None for other in others)
    for other in others:
        busy.cancel(other)


def test_no_temperature_is_too_small(engine: Engine, prompts: Prompts) -> None:
    likeliest = stripped(engine.generate(prompts(20), budget=TWELVE))
    assert stripped(engine.generate(prompts(20), Sampling(5e-324), TWELVE)) == likeliest


def test_a_refused_prompt_leaves_nothing_of_the_others(engine: Engine, prompts: Prompts) -> None:
    small = Engine(engine.model, engine.perception, memory=200_000)
    fits, too_long = prompts(1)[0], Document((Part("which of three " * 500),))
    with pytest.raises(EngineError, match="does not fit"):
        small.generate([fits, too_long])
    assert small.idle
    with pytest.raises(EngineError, match="does not fit"):
        OneChain().answer(small, [fits, too_long])
    assert small.idle
    assert len(small.generate([fits], budget=TWELVE)) == 1


def test_no_prompts_give_no_replies(engine: Engine) -> None:
    assert engine.generate([]) == []


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_in_and_without_gradients(
    engine: Engine, prompts: Prompts, training: bool
) -> None:
    engine.model.train(training)
    engine.generate(prompts(2), budget=Budget(2))
    assert engine.model.training == training
    engine.model.eval()
    assert all(parameter.grad is None for parameter in engine.model.parameters())
