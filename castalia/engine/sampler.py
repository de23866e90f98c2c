"""Logits to tokens: temperature, top-p, min-p, grammars; the draw of a request depends on nothing but itself."""

import torch
from torch import Tensor

from castalia.engine.request import Request

Top = list[tuple[int, float]]


def sample(
    logits_BV: Tensor, requests: list[Request], usable: int, end: int
) -> tuple[list[int], list[float], list[Top]]:
    """Return a token for every request, and its log-probability at temperature 1, before anything is left out.

    Then the likeliest tokens and their log-probabilities, likeliest first, as many as each request wants. Ids from
    `usable` on are padding of the vocabulary and never drawn; nor is `end` before a reply is as long as it must be.
    """
    logprobs_BV = logits_BV.log_softmax(-1)
    choice_BV = logits_BV[:, :usable]
    masks = {b: request.grammar.mask(request.state) for b, request in enumerate(requests) if request.grammar}
    early = [
        b for b, request in enumerate(requests) if request.written < request.sampling.min_tokens and b not in masks
    ]
    if masks or early:
        choice_BV = choice_BV.clone()
    if early:
        choice_BV[early, end] = float("-inf")
    for b, allowed_V in masks.items():
        if allowed_V is not None:
            allowed = torch.from_numpy(allowed_V[:usable]).to(choice_BV.device)
            choice_BV[b].masked_fill_(~allowed, float("-inf"))
    tokens_B = choice_BV.argmax(-1)
    drawn = [b for b, request in enumerate(requests) if request.sampling.temperature > 0]
    if len(drawn) == len(requests):
        tokens_B = _draw(choice_BV, requests)
    elif drawn:
        tokens_B[drawn] = _draw(choice_BV[drawn], [requests[b] for b in drawn])
    logprobs_B = logprobs_BV.gather(1, tokens_B[:, None])[:, 0]
    most = max(request.sampling.top_logprobs for request in requests)
    tops: list[Top] = [[] for _ in requests]
    if most:
        values_BK, ids_BK = logprobs_BV[:, :usable].topk(min(most, usable))
        for b, (values, ids) in enumerate(zip(values_BK.tolist(), ids_BK.tolist(), strict=True)):
            tops[b] = list(zip(ids, values, strict=True))[: requests[b].sampling.top_logprobs]
    return tokens_B.tolist(), logprobs_B.tolist(), tops


def _draw(logits_BV: Tensor, requests: list[Request]) -> Tensor:
    asked = [request.sampling for request in requests]
    settings = [(s.temperature, s.top_p, s.min_p, uniform(r)) for s, r in zip(asked, requests, strict=True)]
    columns = torch.tensor(settings, device=logits_BV.device, dtype=torch.float64).T[:, :, None]
    temperature_B1, top_p_B1, min_p_B1, uniform_B1 = columns
    # From the likeliest, and no colder than can be told from 0: else what is divided overflows.
    falls_BV = logits_BV.double() - logits_BV.amax(-1, keepdim=True)
    probabilities_BV = (falls_BV / temperature_B1.clamp(min=1e-6)).softmax(-1)
    if any(s.min_p > 0 for s in asked):
        least_B1 = min_p_B1 * probabilities_BV.max(-1, keepdim=True).values
        probabilities_BV = probabilities_BV.masked_fill(probabilities_BV < least_B1, 0)
    if any(s.top_p < 1 or s.top_k for s in asked):
        falling_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True, stable=True)
        # What the likelier ones leave is not needed once they make up top_p.
        unneeded_BV = falling_BV.cumsum(-1) - falling_BV >= top_p_B1 * falling_BV.sum(-1, keepdim=True)
        kept_B1 = torch.tensor([[s.top_k or falling_BV.shape[1]] for s in asked], device=logits_BV.device)
        unneeded_BV |= torch.arange(falling_BV.shape[1], device=logits_BV.device) >= kept_B1
        falling_BV = falling_BV.masked_fill(unneeded_BV, 0)
        probabilities_BV = torch.zeros_like(falling_BV).scatter(-1, order_BV, falling_BV)
    summed_BV = probabilities_BV.cumsum(-1)
    whole_B1 = summed_BV[:, -1:]
    # Rounding may bring a draw up to the whole sum: then the last possible token.
    drawn_B1 = torch.minimum(uniform_B1 * whole_B1, whole_B1.nextafter(torch.zeros_like(whole_B1)))
    return torch.searchsorted(summed_BV, drawn_B1, right=True)[:, 0]


def uniform(request: Request) -> float:
    """Return the number in [0, 1) for the next draw of a request: a hash of its seed, its index and its length.

    (SplitMix64, Steele et al. 2014: no state that a fork would have to copy or other requests could move.)
    """
    mask = (1 << 64) - 1
    state = request.sampling.seed & mask
    for part in (request.index, request.written):
        state = (state + 0x9E3779B97F4A7C15 * (part + 1)) & mask
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return (state >> 11) / (1 << 53)
