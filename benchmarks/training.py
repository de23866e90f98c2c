"""Speed of training, side by side with Hugging Face models of the same shapes.

    python benchmarks/training.py            all widths, several minutes
    python benchmarks/training.py --quick    width 256 and documents, fewer rounds

Dense random tokens: one step of the trainer (Muon, packed-row masks) in turn with LlamaForCausalLM of the same width,
depth, heads, vocabulary, batch and length under AdamW, eager and compiled; the better of the two counts. Documents of
the recipe `pocket`: the trainer's packed rows without empty patches, in turn with the usual way: a Hugging Face model
that is given linear patches, one padded document a row, every patch kept, compiled. Needs: pip install '.[bench]'.
"""

import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from harness import finish, gemm, in_turns, median_ratio, options
from torch import Tensor, nn

from castalia.data.catalog import build_task
from castalia.data.mixture import Mixture
from castalia.model import Decoder, ModelConfig
from castalia.model.decoder import PATCH_SCALE
from castalia.model.flops import StepShape, step_flops
from castalia.perception.packing import Batch, Packer
from castalia.perception.perceive import Perception
from castalia.perception.sequence import Sequence
from castalia.recipes import load_recipe
from castalia.training.config import TrainingConfig
from castalia.training.memory import keep_freed_memory
from castalia.training.run import create_run, load_perception
from castalia.training.trainer import Trainer

WIDTHS = (128, 192, 256, 384)
LAYERS, HEAD_DIM, VOCABULARY, ROWS, LENGTH = 4, 64, 512, 16, 256


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    keep_freed_memory()  # both sides run with it
    rounds = 3 if arguments.quick else 11
    figures: dict[str, float] = {}
    for width in (256,) if arguments.quick else WIDTHS:
        figures |= dense(width, rounds)
    figures |= documents(rounds, batches=4 if arguments.quick else 16)
    finish("training", figures, arguments)


def dense(width: int, rounds: int) -> dict[str, float]:
    """Compare one step on dense random tokens."""
    torch.compiler.reset()  # otherwise graphs of all widths would count against one limit
    config = ModelConfig(vocab_size=VOCABULARY, width=width, layers=LAYERS, heads=width // HEAD_DIM)
    batch = random_tokens()
    trainer = make_trainer(config)
    tokens_BT = torch.from_numpy(batch.tokens_BT)
    product, operations = gemm()
    runs: dict[str, Callable[[], object]] = {
        "castalia": lambda: trainer.step(batch),
        "eager": llama_step(width, tokens_BT, compiled=False),
        "compiled": llama_step(width, tokens_BT, compiled=True),
        "gemm": lambda: [product() for _ in range(10)],
    }
    in_turns(runs, 1)  # compiles
    seconds = in_turns(runs, rounds)
    llama = min(seconds["eager"], seconds["compiled"], key=statistics.median)
    flops = step_flops(config, StepShape(ROWS, LENGTH, 0, 0, len(batch.learn_at_L)))
    # A share of the peak that was measured at the same moment.
    peak = [10 * operations / s for s in seconds["gemm"]]
    share = statistics.median(flops / ours / p for ours, p in zip(seconds["castalia"], peak, strict=True))
    ratio = median_ratio(llama, seconds["castalia"])
    ours, theirs = (ROWS * LENGTH / statistics.median(s) for s in (seconds["castalia"], llama))
    print(
        f"width {width}: {ours:,.0f} tokens/s, Hugging Face {theirs:,.0f}: {ratio:.2f} times as fast; "
        f"{share:.0%} of this machine's peak of {statistics.median(peak) / 1e9:.0f} GFLOP/s",
        flush=True,
    )
    return {f"hf_ratio_{width}": ratio, f"peak_share_{width}": share, f"tokens_per_second_{width}": ours}


def make_trainer(config: ModelConfig) -> Trainer:
    """Return a trainer as a run has it, at a constant rate."""
    directory = Path(tempfile.mkdtemp())
    return Trainer(Decoder(config).initialise(0), TrainingConfig(steps=1_000_000), directory)


def random_tokens() -> Batch:
    """Return rows of random tokens, one document a row, everything learned."""
    generator = np.random.default_rng(0)
    T, N = LENGTH, ROWS * LENGTH
    sequence_rows = []
    for _ in range(ROWS):
        places_T3 = np.zeros((T, 3), np.int32)
        places_T3[:, 0] = np.arange(T)
        sequence_rows.append(
            Sequence(
                kinds_T=np.zeros(T, np.uint8),
                tokens_T=generator.integers(16, VOCABULARY, T).astype(np.int32),
                places_T3=places_T3,
                images_T=np.full(T, -1, np.int32),
                weights_T=np.ones(T, np.float32),
                patches_NP=np.zeros((0, 768), np.int16),
                frames_MF=np.zeros((0, 320), np.float32),
            )
        )
    packer = Packer(ROWS, T, 0)
    for sequence in sequence_rows:
        packer.add(sequence)
    batch = packer.flush()
    assert batch is not None and batch.positions == N
    return batch


def llama(width: int, vocabulary: int, layers: int, heads: int) -> Any:
    """Return a Llama whose SwiGLU has as many parameters as our MLP of four times the width."""
    from transformers import LlamaConfig, LlamaForCausalLM  # an extra

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=8 * width // 3,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=2048,
            use_cache=False,
        )
    )


def llama_step(width: int, tokens_BT: Tensor, *, compiled: bool) -> Callable[[], None]:
    """Return a step of Hugging Face's Llama under AdamW on the same tokens."""
    model = llama(width, VOCABULARY, LAYERS, width // HEAD_DIM)
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        forward(input_ids=tokens_BT, labels=tokens_BT).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def documents(rounds: int, batches: int) -> dict[str, float]:
    """Compare documents of `pocket` learned per second, `batches` a turn, and the share of the optimizer."""
    torch.compiler.reset()
    recipe = load_recipe("pocket")
    directory = Path(tempfile.mkdtemp()) / "run"
    recipe = create_run(recipe, directory)
    perception = load_perception(directory)
    whole = Perception(perception.tokenizer, dataclasses.replace(perception.config, drop_empty_patches=False))
    mixture = Mixture(recipe.data, build_task, perception=recipe.perception)
    packs = packed(mixture, perception, recipe.feed.rows, recipe.feed.length, batches)
    per_step = round(statistics.mean(batch.documents for batch in packs))
    trainer = make_trainer(recipe.model)
    theirs = UsualWay(recipe.model)
    padded = [[whole(mixture.document(per_step * n + i)) for i in range(per_step)] for n in range(batches)]
    usual = [pad(sequences, perception.special["pad"]) for sequences in padded]
    ours, other = itertools.cycle(packs), itertools.cycle(usual)
    runs: dict[str, Callable[[], object]] = {
        "castalia": lambda: [trainer.step(next(ours)) for _ in packs],
        "usual": lambda: [theirs.step(*next(other)) for _ in usual],
    }
    in_turns(runs, 1)
    seconds = in_turns(runs, rounds)
    learned = sum(batch.documents for batch in packs)
    ratio = median_ratio(seconds["usual"], seconds["castalia"]) * learned / (per_step * len(usual))
    rate = learned / statistics.median(seconds["castalia"])
    share = optimizer_share(trainer, packs, rounds)
    print(
        f"documents of pocket: {rate:,.0f} a second, {ratio:.2f} times the usual way's; "
        f"the optimizer takes {share:.1%} of a step"
    )
    return {"documents_ratio": ratio, "documents_per_second": rate, "optimizer_share": share}


def packed(mixture: Mixture, perception: Perception, rows: int, length: int, count: int) -> list[Batch]:
    """Return the first batches of a run."""
    packer, batches, index = Packer(rows, length, perception.special["pad"]), [], 0
    while len(batches) < count:
        sequence = perception(mixture.document(index))
        index += 1
        if len(sequence) <= length and (batch := packer.add(sequence)) is not None:
            batches.append(batch)
    return batches


def optimizer_share(trainer: Trainer, batches: list[Batch], rounds: int) -> float:
    """Return how much of a step the optimizers take, on the gradients of real documents."""
    shares = []
    for batch in batches * rounds:
        started = time.perf_counter()
        trainer.step(batch)
        whole = time.perf_counter() - started
        total, weight, *_ = trainer.loss(batch)
        (total / weight).backward()
        started = time.perf_counter()
        for optimizer in trainer.optimizers:
            optimizer.step()
        shares.append((time.perf_counter() - started) / whole)
        trainer.model.zero_grad(set_to_none=True)
    return statistics.median(shares)


def pad(sequences: list[Sequence], filler: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return tokens, attention mask, labels, patches, their places, frames, their places: one document a row."""
    longest = max(map(len, sequences))
    tokens_BT = torch.full((len(sequences), longest), filler)
    seen_BT = torch.zeros_like(tokens_BT)
    labels_BT = torch.full_like(tokens_BT, -100)
    patches, patch_at, frames, frame_at = [], [], [], []
    for b, sequence in enumerate(sequences):
        T = len(sequence)
        ids_T = torch.from_numpy(sequence.tokens_T.astype(np.int64))
        tokens_BT[b, :T], seen_BT[b, :T] = ids_T, 1
        labels_BT[b, :T] = torch.where(torch.from_numpy(sequence.weights_T) > 0, ids_T, -100)
        patches.append(torch.from_numpy(sequence.patches_NP).float() / PATCH_SCALE)
        frames.append(torch.from_numpy(sequence.frames_MF))
        patch_at.append(b * longest + torch.from_numpy(np.flatnonzero(sequence.kinds_T == 1)))
        frame_at.append(b * longest + torch.from_numpy(np.flatnonzero(sequence.kinds_T == 2)))
    patches_NP, patch_at_N, frames_MF, frame_at_M = map(torch.cat, (patches, patch_at, frames, frame_at))
    return tokens_BT, seen_BT, labels_BT, patches_NP, patch_at_N, frames_MF, frame_at_M


class UsualWay:
    """A Hugging Face model that reads patches and frames through linear layers, compiled, under AdamW."""

    def __init__(self, config: ModelConfig) -> None:
        self.model = llama(config.width, config.vocab_size, config.layers, config.heads)
        self.patch_embedding = nn.Linear(config.patch_values, config.width)
        self.frame_embedding = nn.Linear(config.frame_values, config.width)
        self.forward = torch.compile(self.model, dynamic=True)
        modules = (self.model, self.patch_embedding, self.frame_embedding)
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-3, fused=True)

    def step(
        self,
        tokens_BT: Tensor,
        seen_BT: Tensor,
        labels_BT: Tensor,
        patches_NP: Tensor,
        patch_at_N: Tensor,
        frames_MF: Tensor,
        frame_at_M: Tensor,
    ) -> None:
        """Learn one padded batch."""
        x_BTD = self.model.get_input_embeddings()(tokens_BT)
        flat = x_BTD.flatten(0, 1).index_add(0, patch_at_N, self.patch_embedding(patches_NP))
        flat = flat.index_add(0, frame_at_M, self.frame_embedding(frames_MF))
        logits_BTV = self.forward(inputs_embeds=flat.view_as(x_BTD), attention_mask=seen_BT).logits
        loss = F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()
