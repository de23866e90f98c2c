"""Pages of the cache: shared by who begins alike, given back, made room for; and attention over them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.document import Document, Image, Part
from castalia.engine import kernel
from castalia.engine.context import PAGE
from castalia.engine.engine import Engine
from castalia.engine.kernel import Reach, attend_in_pytorch, paged_attention
from castalia.engine.request import Budget, Sampling
from castalia.errors import EngineError

Prompts = Callable[..., list[Document]]
LONG = " one and two, which of three is the largest?" * 4


def noise(seed: int) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 255, (64, 80, 3)).astype(np.uint8))


def asked(*contents: object) -> Document:
    return Document(tuple(Part(content) for content in contents))


@pytest.fixture
def fresh(engine: Engine) -> Engine:
    return Engine(engine.model, engine.perception)


def test_a_prompt_that_begins_alike_is_not_computed_again(fresh: Engine) -> None:
    image = noise(0)
    first = fresh.generate([asked(image, LONG, "red?")], budget=Budget(8))[0]
    second = fresh.generate([asked(image, LONG, "blue?")], budget=Budget(8))[0]
    assert first.cached_tokens == 0
    assert second.cached_tokens >= second.prompt_tokens - 2 * PAGE
    again = Engine(fresh.model, fresh.perception).generate([asked(image, LONG, "blue?")], budget=Budget(8))[0]
    assert second.tokens == again.tokens
    np.testing.assert_allclose(second.logprobs, again.logprobs, atol=1e-4)


def test_another_picture_of_the_same_size_shares_nothing_after_it(fresh: Engine) -> None:
    one, other = noise(0), noise(0).pixels_HWC.copy()
    other[50, 70] += 9  # in the last patch: the first ones see it too
    fresh.generate([asked(one, LONG)], budget=Budget(4))
    reply = fresh.generate([asked(Image(other), LONG)], budget=Budget(4))[0]
    assert reply.cached_tokens == 0
    assert fresh.generate([asked(one, LONG)], budget=Budget(4))[0].cached_tokens > 0


def test_equal_prompts_of_one_batch_are_computed_once(fresh: Engine) -> None:
    replies = fresh.generate([asked(LONG)] * 8, Sampling(1.0), Budget(4))
    shared = (replies[0].prompt_tokens - 1) // PAGE * PAGE
    assert sorted(reply.cached_tokens for reply in replies) == [0] + [shared] * 7


def test_a_hundred_forks_take_little_more_memory_than_one(fresh: Engine) -> None:
    free = fresh.pool.free
    for index in range(100):
        fresh.submit(asked(LONG), Sampling(1.0), Budget(3), index=index)
    least = free
    while not fresh.idle:
        fresh.step()
        least = min(least, fresh.pool.free)
    alone = -(-(len(fresh.perception(asked(LONG), reply=True)) + 3) // PAGE)
    assert free - least <= alone + 2 * 100
    assert fresh.pool.free == free


def test_with_too_little_memory_for_all_at_once_every_reply_is_the_same(engine: Engine, prompts: Prompts) -> None:
    expected = engine.generate(prompts(40), Sampling(1.0, seed=1), Budget(40))
    config = engine.model.config
    page = 2 * config.layers * config.key_value_heads * config.head_dim * 4 * PAGE
    longest = max(len(engine.perception(prompt, reply=True)) for prompt in prompts(40)) + 40
    tight = Engine(engine.model, engine.perception, memory=page * (longest // PAGE + 4), positions=64)
    replies = tight.generate(prompts(40), Sampling(1.0, seed=1), Budget(40))
    assert [reply.tokens for reply in replies] == [reply.tokens for reply in expected]


def test_what_was_not_computed_to_its_end_is_not_found_again(fresh: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(fresh, "_logits", interrupted)
        fresh.generate([asked(LONG)], budget=Budget(4))
    reply = fresh.generate([asked(LONG)], budget=Budget(4))[0]
    assert reply.cached_tokens == 0
    assert reply.tokens == Engine(fresh.model, fresh.perception).generate([asked(LONG)], budget=Budget(4))[0].tokens


def test_a_prompt_larger_than_the_cache_is_refused(engine: Engine) -> None:
    small = Engine(engine.model, engine.perception, memory=1)
    with pytest.raises(EngineError, match="does not fit the cache of 16"):
        small.generate([asked(LONG)])


def test_new_weights_make_old_keys_and_values_forgotten(make_engine: Callable[..., Engine], config: object) -> None:
    engine = make_engine(config)
    engine.generate([asked(LONG)], budget=Budget(4))
    with torch.no_grad():
        next(engine.model.parameters()).mul_(1.5)
    reply = engine.generate([asked(LONG)], budget=Budget(4))[0]
    assert reply.cached_tokens == 0
    assert reply.tokens == Engine(engine.model, engine.perception).generate([asked(LONG)], budget=Budget(4))[0].tokens


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(4, 4, 16), (6, 2, 24), (8, 1, 64)]), st.integers(1, 5))
def test_attention_in_c_equals_attention_in_pytorch(seed: int, heads: tuple[int, int, int], requests: int) -> None:
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    H, G, d = heads
    lengths, counts = generator.integers(1, 70, requests), []
    tables_RP = torch.from_numpy(generator.permutation(requests * 5).reshape(requests, 5).astype(np.int32))
    rows, lo, hi, slots = [], [], [], []
    for row, length in enumerate(lengths.tolist()):
        count = int(generator.integers(1, length + 1))
        counts.append(count)
        for position in range(length - count, length):
            rows.append(row)
            lo.append(max(0, position - int(generator.integers(0, 40))))
            hi.append(int(generator.integers(position, length)))
            slots.append(int(tables_RP[row, position // PAGE]) * PAGE + position % PAGE)
    reach = Reach(*map(torch.tensor, (slots, rows, lo, hi)), tables_RP)
    pages = torch.randn(2, requests * 5, G, PAGE, d)
    q, k, v = torch.randn(len(rows), H, d), torch.randn(len(rows), G, d), torch.randn(len(rows), G, d)
    ours, other = pages.clone(), pages.clone()
    out = paged_attention(q, k, v, ours, reach, reach.lo_N)
    expected = attend_in_pytorch(q, k, v, other, reach, reach.lo_N)
    assert torch.equal(ours, other)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)


def test_without_a_compiler_replies_are_the_same(
    engine: Engine, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel._compiled() is not None, "the machine of these tests has a compiler"
    expected = engine.generate(prompts(20), budget=Budget(8))
    monkeypatch.setattr(kernel, "_compiled", lambda: None)
    bare = Engine(engine.model, engine.perception)
    assert [r.tokens for r in bare.generate(prompts(20), budget=Budget(8))] == [r.tokens for r in expected]


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"min_p": 1.5}])
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(Sampling(), **wrong)
