"""The decoder against its description, written down once more, position by position, without a mask or a batch."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from castalia.model.block import Block
from castalia.model.config import ModelConfig
from castalia.model.decoder import PATCH_SCALE, Decoder
from castalia.model.mlp import MLP, MixtureOfExperts
from castalia.perception.sequence import Kind, Sequence


def norm(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()


def embedded(model: Decoder, sequence: Sequence) -> Tensor:
    x_TD = model.embedding.weight[torch.from_numpy(sequence.tokens_T).long()].clone()
    patches = iter(torch.from_numpy(sequence.patches_NP).float() / PATCH_SCALE)
    frames = iter(torch.from_numpy(sequence.frames_MF))
    for t, kind in enumerate(sequence.kinds_T):
        if kind == Kind.PATCH:
            x_TD[t] = model.patch_embedding.weight @ next(patches)
            if model.place_embedding is not None:
                row, column = (min(int(place), model.config.grid - 1) for place in sequence.places_T3[t, 1:])
                x_TD[t] += model.place_embedding.weight[row] + model.place_embedding.weight[model.config.grid + column]
        elif kind == Kind.FRAME:
            x_TD[t] = model.frame_embedding.weight @ next(frames)
    for picture in range(sequence.images_T.max() + 1) if model.vision is not None else ():
        at = np.flatnonzero((sequence.images_T == picture) & (sequence.kinds_T == Kind.PATCH))
        x_TD[at] = encoded(model, norm(x_TD[at]), sequence, at)
    return norm(x_TD)


def encoded(model: Decoder, x_ND: Tensor, sequence: Sequence, at: np.ndarray) -> Tensor:
    """Let the patches of one picture see each other, and project them."""
    names = ("kinds_T", "tokens_T", "places_T3", "images_T", "weights_T")
    alone = replace(sequence, **{name: getattr(sequence, name)[at] for name in names})
    encoder = SimpleNamespace(config=model.vision.config)
    x_ND = blocks_of(encoder, model.vision.blocks, x_ND, alone)
    return F.gelu(norm(x_ND) @ model.vision.up.weight.T) @ model.vision.down.weight.T


def turned(x_Hd: Tensor, place_3: list[int], config: ModelConfig) -> Tensor:
    """Turn pair i of every head: half of the pairs by the time, a quarter by the row, a quarter by the column."""
    pairs = config.head_dim // 2
    counts = [pairs] if config.rope_axes == 1 else [pairs // 2, pairs // 4, pairs // 4]
    turned_Hd, pair = x_Hd.clone(), 0
    for axis, count in enumerate(counts):
        for i in range(count):
            angle = torch.tensor(place_3[axis] * config.rope_base ** (-i / count))
            a, b = x_Hd[:, pair], x_Hd[:, pair + pairs]
            turned_Hd[:, pair] = a * angle.cos() - b * angle.sin()
            turned_Hd[:, pair + pairs] = a * angle.sin() + b * angle.cos()
            pair += 1
    return turned_Hd


def sees(config: ModelConfig, sequence: Sequence, layer: int, t: int, s: int) -> bool:
    if config.bidirectional_images and sequence.images_T[t] >= 0 and sequence.images_T[t] == sequence.images_T[s]:
        return True
    slides = config.window > 0 and (layer + 1) % config.global_every != 0
    return s <= t and (not slides or t - s < config.window)


def attention(model: Decoder, block: Block, layer: int, h_TD: Tensor, sequence: Sequence) -> Tensor:
    config, d = model.config, model.config.head_dim
    places = sequence.places_T3.tolist()
    rotary = config.global_positions or config.window == 0 or (layer + 1) % config.global_every != 0
    q, k, v = ((h_TD @ part.weight.T).view(len(h_TD), -1, d) for part in (block.query, block.key, block.value))
    if config.qk_norm:
        q, k = norm(q), norm(k)
    if rotary:
        q, k = (torch.stack([turned(x[t], places[t], config) for t in range(len(x))]) for x in (q, k))
    if config.value_embeddings and layer in (0, config.layers - 1):
        added = model.value_embedding.weight[torch.from_numpy(sequence.tokens_T).long()]
        v = v + block.value_mix * added.view_as(v)
    y_THd = torch.zeros_like(q)
    for t in range(len(q)):
        seen = [s for s in range(len(q)) if sees(config, sequence, layer, t, s)]
        for head in range(config.heads):
            of = head // (config.heads // config.key_value_heads)
            shares = (k[seen, of] @ q[t, head] / d**0.5).softmax(0)
            y_THd[t, head] = shares @ v[seen, of]
    if config.gated_attention:
        y_THd = y_THd * (h_TD @ block.gate.weight.T).sigmoid()[..., None]
    return y_THd.flatten(1) @ block.output.weight.T


def dense(mlp: MLP, h: Tensor, config: ModelConfig) -> Tensor:
    up = mlp.up.weight @ h
    if config.activation == "relu2":
        return mlp.down.weight @ up.clamp(min=0) ** 2
    gate, rest = up[: config.hidden], up[config.hidden :]
    return mlp.down.weight @ (gate * gate.sigmoid() * rest)


def feed_forward(mlp: MLP | MixtureOfExperts, h: Tensor, config: ModelConfig) -> Tensor:
    if isinstance(mlp, MLP):
        return dense(mlp, h, config)
    scores = (mlp.router.weight @ h).sigmoid()
    best = sorted(range(config.experts), key=lambda e: -float(scores[e]))[: config.experts_per_token]
    y = sum(scores[e] * dense(mlp.experts[e], h, config) for e in best)
    return y + dense(mlp.shared, h, config) if config.shared_expert else y


def blocks_of(model: Decoder, blocks: Iterable[Block], x_TD: Tensor, sequence: Sequence) -> Tensor:
    config = model.config
    for layer, block in enumerate(blocks):
        h_TD = norm(x_TD)
        x_TD = x_TD + attention(model, block, layer, h_TD, sequence)
        if not config.parallel_blocks or config.experts:
            h_TD = norm(x_TD)
        x_TD = x_TD + torch.stack([feed_forward(block.mlp, h, config) for h in h_TD])
    return x_TD


@torch.no_grad()
def reference(model: Decoder, sequence: Sequence) -> Tensor:
    config = model.config
    x_TD = blocks_of(model, model.blocks, embedded(model, sequence), sequence)
    head = model.embedding.weight if config.tied_head else model.head.weight
    logits_TV = norm(x_TD) @ head.T
    return config.softcap * (logits_TV / config.softcap).tanh() if config.softcap else logits_TV


def test_the_decoder_computes_what_its_description_says_with_every_switch(
    small: ModelConfig,
    settings: dict,
    decoder: Callable[[ModelConfig], Decoder],
    sequence: Callable[..., Sequence],
    logits: Callable[..., Tensor],
) -> None:
    model = decoder(replace(small, **settings))
    document = sequence(1, ("text", 5), ("image", 6), ("sound", 3), ("text", 3), ("image", 2), ("text", 2))
    torch.testing.assert_close(logits(model, [[document]])[0], reference(model, document), rtol=0, atol=2e-5)
