"""What succeeds half of the time is practised most; what is mastered or out of reach now and then."""

import random
from collections import Counter

from castalia.rl.curriculum import Curriculum
from castalia.rl.homework import PracticeConfig

CONFIG = PracticeConfig({"a": 3.0, "b": 1.0}, (1, 2, 3))


def drawn(curriculum: Curriculum, count: int = 8000) -> Counter:
    rng = random.Random(0)
    return Counter(curriculum.choose(rng) for _ in range(count))


def test_tasks_come_by_their_share_and_difficulties_by_what_they_teach() -> None:
    curriculum = Curriculum(CONFIG)
    for _ in range(100):
        for difficulty, rate in ((1, 1.0), (2, 0.5), (3, 0.0)):
            curriculum.observe("a", difficulty, rate)
    counts = drawn(curriculum)
    assert 0.72 < sum(counts["a", d] for d in (1, 2, 3)) / 8000 < 0.78
    assert counts["a", 2] > 4 * counts["a", 1] > 0 and counts["a", 2] > 4 * counts["a", 3] > 0
    assert max(counts["b", d] for d in (1, 2, 3)) < 1.25 * min(counts["b", d] for d in (1, 2, 3))


def test_without_a_curriculum_all_come_alike() -> None:
    curriculum = Curriculum(PracticeConfig({"a": 1.0}, (1, 2), curriculum=False), {"a/1": 0.5, "a/2": 0.0})
    counts = drawn(curriculum)
    assert 0.9 < counts["a", 1] / counts["a", 2] < 1.1
