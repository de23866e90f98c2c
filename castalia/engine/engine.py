"""The engine: prompts in, replies out, one position at a time, in batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from castalia.document import Document, Part
from castalia.engine.cache import DenseCache
from castalia.model.decoder import Decoder, ModelInput
from castalia.perception.packing import collate
from castalia.perception.perceive import Perception
from castalia.perception.sequence import Sequence

BATCH = 64
"""Prompts decoded together."""


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn. `temperature` 0 takes the likeliest token; `seed` fixes the draw of each prompt."""

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Reply:
    """What the model wrote: token ids with their log-probabilities, why it stopped, and how it reads."""

    tokens: list[int]
    logprobs: list[float]
    stopped: Literal["end", "length"]
    thoughts: str
    answer: str

    def document(self) -> Document:
        """Return thoughts and answer as a document."""
        parts = [Part(self.thoughts, "assistant", thought=True)] if self.thoughts else []
        return Document((*parts, Part(self.answer, "assistant")))


@dataclass
class _Row:
    """One reply in the making: which prompt it answers and what was written so far."""

    index: int
    time: int
    generator: torch.Generator
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Engine:
    """Generates replies of one model. The weights are used as they are: train and generate in turn if you like."""

    def __init__(self, model: Decoder, perception: Perception) -> None:
        self.model, self.perception = model, perception
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def generate(self, prompts: list[Document], sampling: Sampling | None = None) -> list[Reply]:
        """Return a reply to each prompt, in order."""
        sampling = sampling or Sampling()
        sequences = [self.perception(prompt, reply=True) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda i: len(sequences[i]))
        replies: dict[int, Reply] = {}
        was_training = self.model.training
        self.model.eval()
        for start in range(0, len(order), BATCH):
            indices = order[start : start + BATCH]
            for row, stopped in self._decode([sequences[i] for i in indices], indices, sampling):
                replies[row.index] = self.read(row.tokens, row.logprobs, stopped)
        self.model.train(was_training)
        return [replies[i] for i in range(len(prompts))]

    def _decode(
        self, sequences: list[Sequence], indices: list[int], sampling: Sampling
    ) -> Iterator[tuple[_Row, Literal["end", "length"]]]:
        longest = max(map(len, sequences))
        cache = DenseCache(self.model.config, len(sequences), longest + sampling.max_tokens, self.device, torch.float32)
        rows = [
            _Row(i, int(s.places_T3[-1, 0]) + 1, torch.Generator().manual_seed(sampling.seed * 1_000_003 + i))
            for i, s in zip(indices, sequences, strict=True)
        ]
        logits_BV = self._prefill(sequences, longest, cache)
        end = self.perception.special["end"]
        while rows:
            going = []
            for b, (token, logprob) in enumerate(self._sample(logits_BV, rows, sampling)):
                row = rows[b]
                row.tokens.append(token)
                row.logprobs.append(logprob)
                if token == end or len(row.tokens) >= sampling.max_tokens:
                    yield row, "end" if token == end else "length"
                else:
                    going.append(b)
            if not going:
                return
            if len(going) < len(rows):
                rows = [rows[b] for b in going]
                cache.keep(torch.tensor(going, device=self.device))
            logits_BV = self._extend(rows, cache)

    def _prefill(self, sequences: list[Sequence], longest: int, cache: DenseCache) -> Tensor:
        batch = ModelInput.of(collate([[s] for s in sequences], longest, self.perception.special["pad"]), self.device)
        lengths_B = torch.tensor([len(s) for s in sequences], device=self.device)
        cache.reach = longest
        last_B = torch.arange(len(sequences), device=self.device) * longest + lengths_B - 1
        logits_BV = self.model(batch, last_B, cache)
        cache.lengths_B = lengths_B
        return logits_BV

    def _extend(self, rows: list[_Row], cache: DenseCache) -> Tensor:
        tokens_B1 = torch.tensor([[row.tokens[-1]] for row in rows], device=self.device)
        places_B13 = torch.tensor([[[row.time + len(row.tokens) - 1, 0, 0]] for row in rows], device=self.device)
        none = torch.zeros(0, dtype=torch.long, device=self.device)
        cache.reach = int(cache.lengths_B.max()) + 1
        config = self.model.config
        batch = ModelInput(
            tokens_BT=tokens_B1,
            places_BT3=places_B13,
            documents_BT=torch.zeros_like(tokens_B1),
            images_BT=torch.full_like(tokens_B1, -1),
            patches_NP=torch.zeros(0, config.patch_values, device=self.device),
            patch_at_N=none,
            frames_MF=torch.zeros(0, config.frame_values, device=self.device),
            frame_at_M=none,
            masks=cache.masks(),
        )
        logits_BV = self.model(batch, None, cache)
        cache.lengths_B += 1
        return logits_BV

    def _sample(self, logits_BV: Tensor, rows: list[_Row], sampling: Sampling) -> list[tuple[int, float]]:
        logprobs_BV = logits_BV.log_softmax(-1)
        if sampling.temperature == 0:
            best = logprobs_BV.max(-1)
            return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        probabilities_BV = (logits_BV / sampling.temperature).softmax(-1).cpu()
        drawn = []
        for b, row in enumerate(rows):
            token = int(torch.multinomial(probabilities_BV[b], 1, generator=row.generator))
            drawn.append((token, float(logprobs_BV[b, token])))
        return drawn

    def read(self, tokens: list[int], logprobs: list[float], stopped: Literal["end", "length"]) -> Reply:
        """Split what was written into thoughts and answer."""
        special, decode = self.perception.special, self.perception.tokenizer.decode
        thoughts, answer = [], tokens
        if tokens and tokens[0] == special["think"]:
            close = tokens.index(special["/think"]) if special["/think"] in tokens else len(tokens)
            thoughts, answer = tokens[1:close], tokens[close + 1 :]
        return Reply(tokens, logprobs, stopped, decode(thoughts).strip(), decode(answer).strip())
