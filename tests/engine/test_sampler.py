"""What is drawn from logits: nothing that was left out, whatever number is drawn."""

import pytest
import torch

from castalia.engine import sampler
from castalia.engine.context import Context
from castalia.engine.request import Budget, Request, Sampling

PROBABILITIES = torch.tensor([[0.05, 0.3, 0.4, 0.2, 0.05]])


def drawn(monkeypatch: pytest.MonkeyPatch, number: float, sampling: Sampling) -> int:
    monkeypatch.setattr(sampler, "uniform", lambda request: number)
    requests = [Request(0, Context(), sampling, Budget())]
    (token,), (logprob,), _ = sampler.sample(PROBABILITIES.log(), requests, usable=5, end=4)
    assert logprob == pytest.approx(PROBABILITIES[0, token].log().item()), "before anything is left out"
    return token


@pytest.mark.parametrize(
    ("sampling", "first", "last"),
    [
        (Sampling(1.0), 0, 4),
        (Sampling(0.5), 0, 4),
        (Sampling(1.0, top_p=0.8), 1, 3),
        (Sampling(1.0, top_p=0.5), 1, 2),
        (Sampling(1.0, min_p=0.6), 1, 2),
        (Sampling(1.0, top_p=0.01), 2, 2),
        (Sampling(1.0, top_k=3), 1, 3),
        (Sampling(1.0, top_k=2, top_p=0.95), 1, 2),
        (Sampling(1.0, top_k=9), 0, 4),
        (Sampling(1.0, min_tokens=1), 0, 3),
        (Sampling(0.0), 2, 2),
    ],
)
def test_the_least_and_the_greatest_number_draw_the_first_and_the_last_possible_token(
    sampling: Sampling, first: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(monkeypatch, 0.0, sampling) == first
    assert drawn(monkeypatch, 1 - 2**-53, sampling) == last


def test_a_number_draws_the_token_whose_share_it_falls_into(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (0.04, 0.06, 0.34, 0.36, 0.74, 0.76, 0.94, 0.96)
    assert [drawn(monkeypatch, number, Sampling(1.0)) for number in numbers] == [0, 1, 1, 2, 2, 3, 3, 4]
