"""Reinforcement learning beside TRL's GRPOTrainer: rollouts scored and trained per second, on countdown.

    python benchmarks/rl.py
    python benchmarks/rl.py --quick

Both have a model of `pocket`'s shape (4 layers of width 128), untrained, the same tokenizer, prompts, number of prompts
a step and rollouts a prompt, and replies of 48 tokens, no less and no more. Steps are taken in turn in one process; the
median of the ratios counts. TRL's model is Hugging Face's Llama, its rollouts are its `generate`, loss `dr_grpo`, no
reference model. Rewards are drawn by the reply's hash after the verifier has looked at it: an untrained model is never
right, and what all do alike is not learned. Needs: pip install trl, and '.[bench]'.
"""

import os
import statistics
import tempfile
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from harness import finish, options
from training import llama

from castalia.data.catalog import build_task
from castalia.engine.engine import Engine
from castalia.engine.request import Sampling
from castalia.model.decoder import Decoder
from castalia.recipes import load_recipe
from castalia.rl.algorithms import build_algorithm
from castalia.rl.homework import Homework, PracticeConfig
from castalia.rl.practice import Practice
from castalia.rl.rollouts import Prompt, Rollout, roll_out
from castalia.tasks.countdown import Countdown
from castalia.tasks.task import Example, Score
from castalia.training.run import create_run, load_perception
from castalia.training.trainer import Trainer

PROMPTS, ROLLOUTS, TOKENS, DIFFICULTY = 32, 8, 48, 2


class Drawn(Countdown):
    """Countdown whose verifier looks at the reply, and then rewards one in three."""

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Return 1 for a third of all replies."""
        super().score(example, reply, index)
        return Score(float(zlib.crc32(reply.encode()) % 3 == 0))


class Ours:
    """A step of Castalia's: rollouts, scores, weights, one update."""

    def __init__(self, directory: Path) -> None:
        recipe = create_run(load_recipe("pocket"), directory)
        self.directory = directory
        practice = PracticeConfig({"countdown": 1.0}, (DIFFICULTY,), prompts=PROMPTS, rollouts=ROLLOUTS, tokens=TOKENS)
        homework, algorithm = Homework("rl", practice), build_algorithm("mean_baseline")
        model = Decoder(recipe.model).initialise(0)
        self.trainer = Trainer(model, homework.training, directory, objective=algorithm.losses)
        tasks: dict[str, Any] = {"countdown": Drawn()}
        engine = Engine(model, load_perception(directory), memory=512 << 20, positions=2048)

        def roll(prompts: list[Prompt], count: int, sampling: Sampling) -> list[list[Rollout]]:
            tried = roll_out(engine, prompts, count, replace(sampling, min_tokens=TOKENS))
            # What is cut at its length has no answer to be judged; here all are cut, and judged.
            return [[Rollout(replace(rollout.reply, stopped="end")) for rollout in its] for its in tried]

        self.practice = Practice(homework, roll, engine.perception.special["pad"], tasks, algorithm)
        self.seconds: dict[str, list[float]] = {"generation": [], "scoring": [], "training": []}

    def step(self) -> None:
        """Take one."""
        started = time.perf_counter()
        batches = next(self.practice)
        trained = time.perf_counter()
        self.trainer.step(*batches)
        generation = self.practice.seconds["generation"]
        self.seconds["generation"].append(generation)
        self.seconds["scoring"].append(trained - started - generation)  # and weighing, and packing
        self.seconds["training"].append(time.perf_counter() - trained)


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    rounds, warm_up = (3, 1) if arguments.quick else (9, 2)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    ours = Ours(Path(tempfile.mkdtemp()) / "run")
    mine, theirs = in_turn_with_trl(ours, rounds, warm_up)
    rollouts = PROMPTS * ROLLOUTS
    whole = sum(map(sum, ours.seconds.values()))
    figures = {
        "trl_ratio": statistics.median(b / a for a, b in zip(mine, theirs, strict=True)),
        "rollouts_per_second": rollouts / statistics.median(mine),
        "trl_rollouts_per_second": rollouts / statistics.median(theirs),
        **{f"{name}_share": sum(spent) / whole for name, spent in ours.seconds.items()},
    }
    finish("rl", figures, arguments)


def in_turn_with_trl(ours: Ours, rounds: int, warm_up: int) -> tuple[list[float], list[float]]:
    """Return the seconds of every step of ours, and of every step of TRL's, in turn."""
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    file = str(ours.directory / "tokenizer.json")
    wrapped = PreTrainedTokenizerFast(tokenizer_file=file, pad_token="<|pad|>", eos_token="<|end|>")
    torch.manual_seed(0)
    model = llama(128, ours.trainer.model.config.vocab_size, 4, 4)
    task = build_task("countdown")
    examples = [task.sample(seed, DIFFICULTY) for seed in range(PROMPTS * (rounds + warm_up + 2))]
    drawn = Drawn()

    def reward(completions: list[str], number: list[int], **_: Any) -> list[float]:
        return [drawn.score(examples[n], text).value for text, n in zip(completions, number, strict=True)]

    data = Dataset.from_list([{"prompt": e.prompt().text(), "number": n} for n, e in enumerate(examples)])
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=PROMPTS * ROLLOUTS, num_generations=ROLLOUTS,
        max_completion_length=TOKENS, generation_kwargs={"min_new_tokens": TOKENS}, max_steps=rounds + warm_up,
        beta=0.0, loss_type="dr_grpo", scale_rewards="none", learning_rate=1e-4, use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to=[], save_strategy="no", logging_steps=1000, disable_tqdm=True,
    )  # fmt: skip
    mine: list[float] = []
    theirs: list[float] = []

    class Turns(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            started = time.perf_counter()
            ours.step()
            mine.append(time.perf_counter() - started)
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            theirs.append(time.perf_counter() - self.began)

    trainer = GRPOTrainer(model, reward, config, data, processing_class=wrapped, callbacks=[Turns()])
    trainer.train()
    for spent in (mine, theirs, *ours.seconds.values()):
        del spent[:warm_up]
    return mine, theirs


if __name__ == "__main__":
    main()
