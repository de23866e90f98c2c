"""Speed of the engine, side by side with Hugging Face's `generate` on models of the same shape.

    python benchmarks/decoding.py            widths 192 and 384, batches 1, 8, 64, 256; several minutes
    python benchmarks/decoding.py --quick    width 192, batches 1 and 64

Prompts of 32 random tokens are each continued by 64, greedily, nothing stops early; tokens a second are those written,
over all of the time, prompts included. Hugging Face's LlamaForCausalLM has a static cache. `fork8_latency_ratio`:
eight agents on one prompt of 512 positions over one, the prompt's computation included. `bandwidth_share_b1`: bytes of
weights read a second at batch 1 over what this machine reads a second from a block of the same size.
Needs: pip install '.[bench]'; what else llama.cpp and vLLM need says llamacpp.py, and vllm_peer.py.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from harness import finish, in_turns, median_ratio, options
from llamacpp import llamacpp
from training import llama
from vllm_peer import vllm

from castalia.engine.context import Context
from castalia.engine.engine import Engine
from castalia.engine.request import Budget, Request, Sampling
from castalia.model import Decoder, ModelConfig
from castalia.perception.perceive import Perception
from castalia.perception.text import SPECIAL, Tokenizer
from castalia.training.memory import keep_freed_memory

LAYERS, HEAD_DIM, VOCABULARY, PROMPT, WRITTEN = 6, 64, 512, 32, 64
WIDTHS, BATCHES = (192, 384), (1, 8, 64, 256)


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    keep_freed_memory()
    rounds = 3 if arguments.quick else 7
    figures: dict[str, float] = {}
    for width in WIDTHS[: 1 if arguments.quick else None]:
        engine = make_engine(width)
        peer = llama(width, VOCABULARY, LAYERS, width // HEAD_DIM).eval()
        peer.config.use_cache = peer.generation_config.use_cache = True
        for batch in (1, 64) if arguments.quick else BATCHES:
            figures |= decoding(engine, peer, batch, width, rounds)
        figures |= bandwidth(engine, width, figures[f"tokens_per_second_{width}_b1"], rounds)
        figures |= forks(engine, width, rounds)
        figures |= against(engine, peer, width, rounds)
    figures["hf_ratio_b64"] = figures[f"hf_ratio_{WIDTHS[0]}_b64"]
    finish("decoding", figures, arguments)


def make_engine(width: int) -> Engine:
    """Return the engine of a random model that never ends a reply."""
    words = [f"{a}{b}{c}" for a in "bcdfgklmnprst" for b in "aeiou" for c in "lmnrst"]
    perception = Perception(Tokenizer.train([" ".join(words)], VOCABULARY))
    model = Decoder(ModelConfig(VOCABULARY, width=width, layers=LAYERS, heads=width // HEAD_DIM)).initialise(0)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, parameter.shape[1] ** -0.5)
        model.head.weight[: len(SPECIAL)] = 0  # never the likeliest, so that nothing ends a reply
    return Engine(model, perception)


def write(engine: Engine, prompts: list[list[int]]) -> None:
    """Continue prompts of token ids by `WRITTEN` tokens each."""
    sampling, budget = Sampling(), Budget(WRITTEN)
    for index, prompt in enumerate(prompts):
        context = Context()
        for token in prompt:
            context.write(token, 0.0, learned=False)
        engine.admit(Request(index, context, sampling, budget))
    while not engine.idle:
        engine.step()


def decoding(engine: Engine, peer: Any, batch: int, width: int, rounds: int) -> dict[str, float]:
    """Compare tokens a second at one batch size."""
    generator = np.random.default_rng(batch)

    def prompts() -> np.ndarray:  # new ones each time: nothing may be found in the cache
        return generator.integers(16, VOCABULARY, (batch, PROMPT))

    @torch.inference_mode()
    def theirs() -> None:
        peer.generate(
            torch.from_numpy(prompts()),
            attention_mask=torch.ones(batch, PROMPT, dtype=torch.long),
            max_new_tokens=WRITTEN,
            min_new_tokens=WRITTEN,
            do_sample=False,
            use_cache=True,
            cache_implementation="static",
            pad_token_id=0,
        )

    runs: dict[str, Callable[[], object]] = {"castalia": lambda: write(engine, prompts().tolist()), "theirs": theirs}
    in_turns(runs, 1)
    seconds = in_turns(runs, rounds)
    rate, ratio = batch * WRITTEN / statistics.median(seconds["castalia"]), median_ratio(*reversed(seconds.values()))
    other = batch * WRITTEN / statistics.median(seconds["theirs"])
    print(
        f"width {width}, batch {batch}: {rate:,.0f} tokens/s, Hugging Face {other:,.0f}: {ratio:.2f} times", flush=True
    )
    return {f"tokens_per_second_{width}_b{batch}": rate, f"hf_ratio_{width}_b{batch}": ratio}


def against(engine: Engine, peer: Any, width: int, rounds: int) -> dict[str, float]:
    """Compare with llama.cpp at batch 1 and with vLLM at batch 64, on the peer's weights; with what there is."""
    figures: dict[str, float] = {}
    for name, its, batch in (("llamacpp", llamacpp, 1), ("vllm", vllm, 64)):
        with its(peer, WRITTEN) as go_on:
            if go_on is None:
                print(f"{name} is not there: benchmarks/{its.__module__}.py says what it needs")
                continue
            generator = np.random.default_rng(batch)

            def prompts(batch: int = batch, generator: np.random.Generator = generator) -> list[list[int]]:
                return generator.integers(16, VOCABULARY, (batch, PROMPT)).tolist()

            runs: dict[str, Callable[[], object]] = {
                "castalia": lambda prompts=prompts: write(engine, prompts()),
                "theirs": lambda prompts=prompts, go_on=go_on: go_on(prompts()),
                "rest": lambda: time.sleep(0.5),  # until threads that wait for more work have gone to sleep
            }
            in_turns(runs, 1)
            seconds = in_turns(runs, rounds)
        ratio = median_ratio(seconds["theirs"], seconds["castalia"])
        rate = batch * WRITTEN / statistics.median(seconds["theirs"])
        print(f"width {width}, batch {batch}: {name} {rate:,.0f} tokens/s; we {ratio:.2f} times", flush=True)
        figures[f"{name}_ratio_{width}_b{batch}"] = ratio
        if width == WIDTHS[0]:
            figures[f"{name}_ratio_b{batch}"] = ratio
    return figures


def bandwidth(engine: Engine, width: int, rate: float, rounds: int) -> dict[str, float]:
    """Compare how fast weights are read at batch 1 with how fast a block of their size can be."""
    weights = sum(p.numel() for name, p in engine.model.named_parameters() if "embedding" not in name)
    block = torch.ones(weights)
    best = 0.0
    for _ in range(20 * rounds):
        started = time.perf_counter()
        block.sum()
        best = max(best, weights / (time.perf_counter() - started))
    share = rate * weights / best
    print(f"width {width}, batch 1: weights are read at {share:.0%} of {best * 4 / 1e9:.1f} GB/s")
    return {f"bandwidth_share_{width}_b1": share} | ({"bandwidth_share_b1": share} if width == WIDTHS[-1] else {})


def forks(engine: Engine, width: int, rounds: int) -> dict[str, float]:
    """Compare eight agents on one long prompt with one."""
    generator = np.random.default_rng(0)

    def agents(count: int) -> Callable[[], None]:
        return lambda: write(engine, [generator.integers(16, VOCABULARY, 512).tolist()] * count)

    runs: dict[str, Callable[[], object]] = {"eight": agents(8), "one": agents(1)}
    in_turns(runs, 1)
    ratio = median_ratio(*in_turns(runs, rounds).values())
    print(f"width {width}: eight agents on one prompt of 512 positions take {ratio:.2f} times as long as one")
    return {f"fork8_latency_ratio_{width}": ratio} | ({"fork8_latency_ratio": ratio} if width == WIDTHS[0] else {})


if __name__ == "__main__":
    main()
