"""Accuracy by way of thinking: the ways that were learned, all asked the same questions."""

import torch

from castalia.actions.catalog import build_actions
from castalia.data.catalog import build_task
from castalia.data.mixture import DataConfig
from castalia.engine.engine import Engine
from castalia.evals.ways import AGENTS, compare_ways, learned_ways
from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder
from castalia.perception.perceive import Perception
from castalia.perception.text import Tokenizer
from castalia.tasks.effort import EFFORTS

CANVAS = build_actions(("canvas",))


def test_only_what_was_learned_is_compared() -> None:
    plain = {"countdown": 1.0}
    assert learned_ways(DataConfig(plain), CANVAS) == {}
    assert list(learned_ways(DataConfig(plain, acting=0.1), CANVAS)) == ["medium", "acting"]
    assert list(learned_ways(DataConfig({"search": 1.0}), CANVAS)) == ["medium", "acting"]
    assert list(learned_ways(DataConfig(plain, merging=0.1), CANVAS)) == ["medium", f"{AGENTS} agents"]
    assert set(learned_ways(DataConfig(plain, efforts={"low": 1.0}), CANVAS)) == set(EFFORTS)


def test_every_way_is_asked_as_many_questions_of_every_family() -> None:
    perception = Perception(Tokenizer.train(["Make 10 from 2, 5. What is 3 plus 4?"], 300))
    torch.manual_seed(0)
    model = Decoder(ModelConfig(-(-perception.tokenizer.vocab_size // 64) * 64, width=32, heads=2, layers=2))
    ways = learned_ways(DataConfig({"countdown": 1.0}, acting=0.1, merging=0.1, efforts={"low": 1.0}), CANVAS)
    tasks = {name: build_task(name) for name in ("countdown", "sums")}
    begun: list[str] = []
    compared = compare_ways(Engine(model, perception), tasks, ways, difficulties=(1, 2), n=2, progress=begun.append)
    assert list(compared) == begun == list(ways)
    for rows in compared.values():
        assert {family: row["n"] for family, row in rows.items()} == {"countdown": 4, "sums": 4}
