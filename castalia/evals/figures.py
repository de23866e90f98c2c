"""The README's tables, written from what benchmarks and runs have recorded under docs/figures/."""

import contextlib
import datetime
import fnmatch
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from castalia.errors import DataError
from castalia.evals.exam import EXAM
from castalia.evals.sheets import draw, sheets_of
from castalia.rl.measure import before_and_after
from castalia.training.metrics import read_metrics
from castalia.training.run import HOMEWORK

BLOCK = re.compile(r"(<!-- figures: ([a-z_-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""What is replaced: ``<!-- figures: training -->`` ... ``<!-- end -->`` holds the table of ``training.json``."""

GOALS: dict[str, tuple[str, str]] = {
    "trl_ratio": ("rollouts scored and trained a second, over TRL's GRPOTrainer", "≥ 5 times"),
    "rollouts_per_second": ("rollouts generated, scored and trained a second", ""),
    "trl_rollouts_per_second": ("the same, TRL", ""),
    "generation_share": ("share of a step's time in generation", ""),
    "scoring_share": ("share in scoring, weighing and packing", ""),
    "training_share": ("share in training", ""),
    "r_squared_*": ("R² of pass@k, held out, over the logarithm of steps", "≥ 0.95"),
    "gain_1": ("points by which pass@1 has grown, held out", ""),
    "gain_16": ("points by which pass@16 has grown, held out", ""),
    "forecast_error_*": ("points by which the last quarter's pass@k was foretold too high, from the first", "within 2"),
    "hacked_before": ("replies to impossible problems that cheat, before homework, per cent", ""),
    "hacked_undefended": ("the same after homework without a defence", ""),
    "hacked_guesses": ("the same where what can be guessed is dropped", ""),
    "hacked_*": ("the same with this defence", "≤ 1"),
    "right_*": ("replies to possible problems that are right, per cent", ""),
    "shorter_*": ("per cent by which thoughts were compressed, median of five seeds", "≥ 40"),
    "kept_*": ("points of accuracy gained meanwhile", "≥ 0"),
    "extended_*": ("per cent by which they grew again", ""),
    "gained_*": ("points above the accuracy before, with no more tokens", "> 0"),
    "over_none_equal_*": ("points above the best of the arm without one with no more tokens: at its start", "> 0"),
    "over_none_*": ("points above the arm without a penalty, at the end", ""),
    "end_accuracy_*": ("right at the end, per cent", ""),
    "end_tokens_*": ("tokens a reply at the end", ""),
    "loss_error_percent": ("error of the forecast held-out loss, per cent, mean of seeds", "≤ 1"),
    "family_loss_error_percent": ("the same of every family's loss", ""),
    "accuracy_error_points": ("error of the forecast accuracy of a family, points", "≤ 3"),
    "coverage_error_points": ("error of pass@k of up to 160 attempts, foretold from 16, points", "≤ 2"),
    "agents_error_points": ("error of the accuracy of 16 agents, foretold from 2, 4 and 8 along agents, points", ""),
    "latency_error_points": ("the same along seconds", ""),
    "interval_coverage": ("forecasts inside their 90 % intervals, per cent", "90"),
    "interval_coverage_school": ("the same of losses and accuracies alone", "90"),
    "interval_width_percent": ("how far the ends of the losses' intervals lie apart, median, per cent", ""),
    "interval_width_points": ("the same of the accuracies', points", ""),
    "compute_ratio": ("compute of the run over that of the largest small run", "≥ 8 times"),
    "multiplier_*_from": ("lower end of its 90 % interval", ""),
    "multiplier_*_to": ("upper end of it", ""),
    "multiplier_*": ("times the compute that `maverick` needs to be as often right as `ladder`", "≥ 10"),
    "accuracy_low": ("at this accuracy, mean of families, per cent", ""),
    "accuracy_middle": ("at this accuracy", ""),
    "accuracy_high": ("at this accuracy", ""),
    "part_*": ("the same of `ladder` with this part of `maverick` alone", ""),
    "rates_lost_percent": ("loss lost by taking the learning rates that are best in the smallest size, per cent", ""),
    "seeds": ("seeds", "≥ 3"),
    "hf_ratio_256": ("training step against Hugging Face's Llama of width 256, dense tokens", "≥ 1.15 times"),
    "hf_ratio_b64": ("tokens generated per second against Hugging Face's `generate`, width 192, batch 64", "≥ 5 times"),
    "hf_ratio_*_b*": ("tokens generated per second over Hugging Face's, at this width and batch", ""),
    "tokens_per_second_*_b*": ("tokens generated per second at this width and batch", ""),
    "bandwidth_share_b1": ("share of the bandwidth of reading that decoding uses at batch 1, width 384", ""),
    "bandwidth_share_*_b1": ("share of the bandwidth of reading that decoding uses at this width", ""),
    "fork8_latency_ratio_*": ("eight agents on one prompt against one, at this width", ""),
    "fork8_latency_ratio": ("eight agents on one prompt of 512 positions against one, width 192", "≤ 2 times"),
    "llamacpp_ratio_b1": ("tokens generated per second over llama.cpp's, width 192, batch 1", ""),
    "llamacpp_ratio_*_b1": ("the same at this width", ""),
    "vllm_ratio_b64": ("tokens generated per second over vLLM's, width 192, batch 64", ""),
    "vllm_ratio_*_b64": ("the same at this width", ""),
    "gain_equal_latency_*": ("points of contemplating above one agent that takes no longer", "≥ 10"),
    "gain_equal_tokens_*": ("points of contemplating above one agent that writes no more", ""),
    "accuracy_one_*": ("one agent at its best, per cent", ""),
    "difficulty_*": ("the difficulty examined", ""),
    "*_difficulty": ("the difficulty examined", ""),
    "seconds_*": ("seconds a question, contemplating", ""),
    "hf_ratio_*": ("the same at this width", ""),
    "peak_share_256": ("share of the machine's measured GEMM peak, width 256", "≥ 0.65"),
    "peak_share_*": ("the same at this width", ""),
    "tokens_per_second_[0-9]*": ("tokens trained per second at this width", ""),
    "documents_ratio": ("documents of `pocket` learned per second against the usual way", "≥ 3 times"),
    "documents_per_second": ("documents of `pocket` learned per second", ""),
    "optimizer_share": ("optimizer's share of a step of `pocket`", "≤ 0.10"),
    "feed_ratio": ("tokens made by one worker over tokens the trainer uses", "≥ 5 times"),
    "positions_per_second_*": ("positions made per second by one worker", ""),
    "documents_per_second_*": ("documents made per second by one worker", ""),
    "flops_ratio_*": ("FLOPs a question with empty patches over without", ""),
    "accuracy_without_*": ("accuracy of the model trained without empty patches", ""),
    "search_gain": ("points of the canvas above text thoughts, or guessing where that is more", "≥ 19"),
    "maze_gain": ("points of the canvas above text thoughts", "≥ 20"),
    "*_gain_intervened": ("the same with false sights, the best of three", "≤ 3"),
    "*_canvas": ("right with the canvas, per cent", ""),
    "*_text": ("right with thoughts in words only, per cent", ""),
    "*_none": ("right without thoughts, per cent", ""),
    "*_blank": ("right where the canvas shows nothing, per cent", ""),
    "*_shuffled": ("right where pixels are shuffled, per cent", ""),
    "*_wrong": ("right where another question's picture is shown, per cent", ""),
    "*_chance": ("right by the best blind guess, per cent", ""),
    "accuracy_with_*": ("accuracy of the model trained with every patch", ""),
    "engine_share_short": ("the same where replies end by themselves, after some thirty tokens", "≥ 0.85"),
    "*_short": ("the same there", ""),
    "engine_share": ("tokens a second through the server over the engine's own, 64 streams of 128 to 384", "≥ 0.85"),
    "gap_ms_*": ("milliseconds from one piece of a stream to the next, this percentile", ""),
    "tokens_per_second": ("tokens a second through the server, all streams together", ""),
    "engine_tokens_per_second": ("tokens a second of the engine called directly", ""),
    "lost": ("streams that did not end as they should", "0"),
    "first_token_ms_*": ("milliseconds to the first token, this percentile", ""),
    "stream_tokens_per_second_*": ("tokens a second of one stream of 64, this percentile", ""),
    "ready_seconds": ("seconds from the command to the first answer", "< 8"),
    "freed_seconds": ("seconds until the memory of clients that vanished is free", "≤ 1"),
    "memory_mb": ("megabytes of the server after an hour of mixed load", ""),
    "memory_growth_mb_per_hour": ("megabytes by which it grows an hour", ""),
    "mixed_lost": ("streams lost in that hour", "0"),
    "mixed_answers": ("answers in that hour", ""),
    "accuracy_*": ("contemplating at its best, per cent", ""),
}
"""What a figure means, and what it should be, where that was said beforehand. The first pattern that fits counts."""


def origin(command: str) -> dict[str, str]:
    """Return where figures come from: the command, this commit, this machine, today."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    machine = (
        f"{processor}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    )
    return {"command": command, "commit": commit, "machine": machine, "date": datetime.date.today().isoformat()}


def write_figures(readme: Path, directory: Path) -> list[str]:
    """Fill every block of `readme` with the table recorded in `directory`; return the names of the blocks.

    Raises DataError if a block has no record, or a record cannot be read.
    """
    names: list[str] = []

    def table(match: re.Match[str]) -> str:
        names.append(match[2])
        return f"{match[1]}{as_table(_read(directory / f'{match[2]}.json'))}\n{match[3]}"

    text = readme.read_text("utf-8")
    written = BLOCK.sub(table, text)
    if written != text:
        readme.write_text(written, "utf-8")
    return names


HOMEWORK_GOALS = {"1": "≥ 10", "16": "≥ 0"}
"""Points of pass@k that homework is to give."""


def record_run(run: Path, directory: Path, results: Path, origin: dict[str, str]) -> Path:
    """Record the exam of a run as ``directory/NAME.json`` and keep its metrics and recipe under ``results/NAME``.

    `origin` says how it came about: command, commit, machine, date. Raises DataError if the run is not examined.
    """
    evaluation = _read(run / "evaluation.json")
    figures, about = {}, {}
    for family, rows in evaluation["families"].items():
        chance = sum(row["chance"] for row in rows.values()) / len(rows)
        asked = sum(row["n"] for row in rows.values())
        each = ", ".join(f"{row['accuracy']:.0%}" for _, row in sorted(rows.items(), key=lambda item: int(item[0])))
        figures[family] = round(evaluation["means"][family], 3)
        about[family] = f"{asked} questions, by difficulty {each}; guessing gives {chance:.0%}", f"≥ {3 * chance:.2f}"
    figures["average"] = round(evaluation["accuracy"], 3)
    about["average"] = "mean over families", "≥ 0.60"
    kept = results / run.resolve().name
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.jsonl", "recipe.json", "evaluation.json"):
        shutil.copyfile(run / name, kept / name)
    if practised := read_metrics(run / HOMEWORK / "metrics.jsonl"):
        shutil.copyfile(run / HOMEWORK / "metrics.jsonl", kept / "homework.jsonl")
    for task, passes in before_and_after(practised).items():
        for k, (before, after) in passes.items():
            figures[name := f"homework_{task}_{k}"] = round(100 * (after - before), 1)
            what = f"points of pass@{k} by homework, held out: {before:.1%} → {after:.1%}"
            about[name] = what, HOMEWORK_GOALS.get(k, "")
    path = directory / f"{run.resolve().name}.json"
    path.write_text(json.dumps(origin | {"figures": figures, "about": about}, indent=2, ensure_ascii=False) + "\n")
    return path


def record_exam(run: Path, found: dict[str, Any], docs: Path, origin: dict[str, str]) -> Path:
    """Record what the exam of a run has `found` as ``docs/figures/exam.json``, with its plot, and keep it under
    ``docs/results/NAME``."""
    name = run.resolve().name
    kept = docs / "results" / name
    kept.mkdir(parents=True, exist_ok=True)
    (kept / EXAM).write_text(json.dumps(found, indent=1) + "\n")
    draw(found, docs / "images" / f"exam-{name}.png")
    picture = f"![Exactly right by difficulty, medium, words and way of thinking](docs/images/exam-{name}.png)"
    markdown = "\n\n".join([picture, *(sheet.markdown() for sheet in sheets_of(found))])
    path = docs / "figures" / "exam.json"
    path.write_text(json.dumps(origin | {"markdown": markdown}, indent=2, ensure_ascii=False) + "\n")
    return path


def as_table(record: dict[str, Any]) -> str:
    """Return a record (command, commit, machine, date, figures) as a Markdown table with its origin below it.

    The record may say what its figures are ``about``, each with a goal; else `GOALS` does. It may also be Markdown.
    """
    if "markdown" in record:
        return "\n\n".join([record["markdown"], _origin_line(record)])
    rows = ["| figure | what it is | goal | measured |", "|---|---|---|---|"]
    for name, value in record["figures"].items():
        fitting = (about for pattern, about in GOALS.items() if fnmatch.fnmatchcase(name, pattern))
        what, goal = record.get("about", {}).get(name) or next(fitting, ("", ""))
        rows.append(f"| `{name}` | {what} | {goal} | {value:,} |")
    return "\n".join([*rows, "", _origin_line(record)])


def _origin_line(record: dict[str, Any]) -> str:
    return f"`{record['command']}` · {record['date']} · commit {record['commit']} · {record['machine']}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"no figures are recorded in {path}: run the benchmark with --record") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
