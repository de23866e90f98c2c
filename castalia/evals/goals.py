"""What the figures of benchmarks mean, what they should be, and which of them README begins with."""

import re

NANO = {
    "digits": 95, "speech": 95, "scenes": 95, "sums": 98, "mazes": 90, "charts": 85, "countdown": 60, "captions": 60,
}  # fmt: skip
"""What `nano` is to reach in each family, in per cent."""

GOALS: dict[str, tuple[str, str]] = {
    "exam/media_gap": ("points between a question as text, by voice and in the picture, mean of families", "≤ 5"),
    "exam/*_agents": ("{0}: exactly right at difficulties 1 to 3, agents that contemplate", ""),
    **{
        f"exam/{family}": (f"{family}: exactly right at difficulties 1 to 3", f"≥ {goal}")
        for family, goal in NANO.items()
    },
    "exam/*": ("{0}: exactly right at difficulties 1 to 3", ""),
    "first_answer_seconds": (
        "seconds of the slowest of README's questions, nothing cached yet",
        "< 10",
    ),
    "later_answer_seconds": ("seconds of the slowest once something is cached", ""),
    "trl_ratio": ("rollouts scored and trained a second, over TRL's GRPOTrainer", "≥ 5 times"),
    "rollouts_per_second": ("rollouts generated, scored and trained a second", ""),
    "trl_rollouts_per_second": ("rollouts TRL generates, scores and trains a second", ""),
    "generation_share": ("share of a step's time in generation", ""),
    "scoring_share": ("share in scoring, weighing and packing", ""),
    "training_share": ("share in training", ""),
    "r_squared_*": ("R² of pass@k, held out, over the logarithm of steps", "≥ 0.95"),
    "gain_1": ("points by which pass@1 has grown, held out", ""),
    "gain_16": ("points by which pass@16 has grown, held out", ""),
    "forecast_error_*": ("points by which the last quarter's pass@k was foretold too high, from the first", "within 2"),
    "hacked_before": ("replies to impossible problems that cheat, before homework, per cent", ""),
    "hacked_undefended": ("replies to impossible problems that cheat after homework without a defence, per cent", ""),
    "hacked_guesses": ("replies to impossible problems that cheat where what can be guessed is dropped, per cent", ""),
    "hacked_*": ("replies to impossible problems that cheat, defences: {0}, per cent", "≤ 1"),
    "right_*": ("replies to possible problems that are right, per cent", ""),
    "shorter_*": ("{0}: per cent by which thoughts were compressed, median of five seeds", "≥ 40"),
    "kept_*": ("{0}: points of accuracy gained while thoughts were compressed", "≥ 0"),
    "extended_*": ("{0}: per cent by which thoughts grew again", ""),
    "gained_*": ("{0}: points above the accuracy before, with no more tokens", "> 0"),
    "over_none_equal_*": ("{0}: points above the best of the arm without one with no more tokens: at its start", "> 0"),
    "over_none_*": ("{0}: points above the arm without a penalty, at the end", ""),
    "end_accuracy_*": ("{0}: right at the end, per cent", ""),
    "end_tokens_*": ("{0}: tokens a reply at the end", ""),
    "loss_error_percent": (
        "error of the forecast held-out loss, per cent, mean of seeds; by a law chosen when it was known (11.4 before)",
        "≤ 1",
    ),
    "family_loss_error_percent": ("error of the forecast loss of a family, per cent, mean", ""),
    "accuracy_error_points": ("error of the forecast accuracy of a family, points", "≤ 3"),
    "coverage_error_points": ("error of pass@k of up to 160 attempts, foretold from 16, points", "≤ 2"),
    "agents_error_points": ("error of the accuracy of 16 agents, foretold from 2, 4 and 8 along agents, points", ""),
    "latency_error_points": ("error of the accuracy of 16 agents, foretold along seconds, points", ""),
    "interval_coverage": ("forecasts inside their 90 % intervals, per cent", "90"),
    "interval_coverage_school": ("forecast losses and accuracies inside their 90 % intervals, per cent", "90"),
    "interval_width_percent": ("how far the ends of the losses' intervals lie apart, median, per cent", ""),
    "interval_width_points": ("how far the ends of the accuracies' intervals lie apart, median, points", ""),
    "compute_ratio": ("compute of the run over that of the largest small run", "≥ 8 times"),
    "multiplier_*_from": ("lower end of its 90 % interval, {0}", ""),
    "multiplier_*_to": ("upper end of it, {0}", ""),
    "multiplier_*": ("times the compute that `maverick` needs to be as often right as `ladder`, {0} accuracy", "≥ 10"),
    "accuracy_low": ("the low accuracy, mean of families, per cent", ""),
    "accuracy_middle": ("the middle one", ""),
    "accuracy_high": ("the high one", ""),
    "part_*_from": ("lower end of its 90 % interval, {0}", ""),
    "part_*_to": ("upper end of it, {0}", ""),
    "part_*": ("times the compute that `ladder` needs with this part of `maverick`: {0}", ""),
    "rates_lost_percent": ("loss lost by taking the learning rates that are best in the smallest size, per cent", ""),
    "seeds": ("seeds", "≥ 3"),
    "hf_ratio_256": ("tokens trained per second over Hugging Face's Llama, dense tokens, width 256", "≥ 1.15 times"),
    "hf_ratio_b64": ("tokens generated per second against Hugging Face's `generate`, width 192, batch 64", "≥ 5 times"),
    "hf_ratio_*_b*": ("tokens generated per second over Hugging Face's, width {0}, batch {1}", ""),
    "tokens_per_second_*_b*": ("tokens generated per second, width {0}, batch {1}", ""),
    "bandwidth_share_b1": ("share of the bandwidth of reading that decoding uses at batch 1, width 384", ""),
    "bandwidth_share_*_b1": ("share of the bandwidth of reading that decoding uses at batch 1, width {0}", ""),
    "fork8_latency_ratio_*": ("seconds of eight agents on one prompt over those of one, width {0}", ""),
    "fork8_latency_ratio": (
        "seconds of eight agents on one prompt of 512 positions over those of one, width 192",
        "≤ 2 times",
    ),
    "llamacpp_ratio_b1": ("tokens generated per second over llama.cpp's, width 192, batch 1", ""),
    "llamacpp_ratio_*_b1": ("tokens generated per second over llama.cpp's, width {0}, batch 1", ""),
    "vllm_ratio_b64": ("tokens generated per second over vLLM's, width 192, batch 64", ""),
    "vllm_ratio_*_b64": ("tokens generated per second over vLLM's, width {0}, batch 64", ""),
    "gain_equal_latency_*": ("{0}: points of contemplating above one agent that takes no longer", "≥ 10"),
    "gain_equal_tokens_*": ("{0}: points of contemplating above one agent that writes no more", ""),
    "accuracy_equal_latency_*": ("{0}: contemplating, in no more time than the one agent that is examined", "≥ 75"),
    "one_seconds_*": ("{0}: seconds a question of the one agent that is examined", ""),
    "accuracy_one_*": ("{0}: one agent at its best, per cent", ""),
    "difficulty_*": ("{0}: the difficulty examined", ""),
    "*_difficulty": ("{0}: the difficulty examined", ""),
    "seconds_*": ("{0}: seconds a question, contemplating", ""),
    "hf_ratio_*": ("tokens trained per second over Hugging Face's Llama, width {0}", ""),
    "peak_share_256": ("share of the machine's measured GEMM peak, width 256", "≥ 0.65"),
    "peak_share_*": ("share of the machine's measured GEMM peak, width {0}", ""),
    "training/tokens_per_second_*": ("tokens trained per second, width {0}", ""),
    "documents_ratio": ("documents of `pocket` learned per second against the usual way", "≥ 3 times"),
    "data/documents_per_second": ("documents of `pocket` made per second by one worker", ""),
    "data/positions_per_second": ("positions of `pocket` made per second by one worker", ""),
    "data/trainer_positions_per_second": ("positions of `pocket` trained per second", ""),
    "documents_per_second": ("documents of `pocket` learned per second", ""),
    "optimizer_share": ("optimizer's share of a step of `pocket`", "≤ 0.10"),
    "feed_ratio": ("tokens made by one worker over tokens the trainer uses", "≥ 5 times"),
    "positions_per_second_*": ("positions of {0} made per second by one worker", ""),
    "documents_per_second_*": ("documents of {0} made per second by one worker", ""),
    "flops_ratio_*": ("FLOPs a question of {0} with empty patches over without", ""),
    "accuracy_without_*": ("right in {0} where empty patches are dropped, share", ""),
    "search_gain": ("search: points of the canvas above text thoughts, or guessing where that is more", "≥ 19"),
    "maze_gain": ("mazes: points of the canvas above text thoughts", "≥ 20"),
    "*_gain_intervened": ("{0}: points above text thoughts, or guessing, with false sights, the best of three", "≤ 3"),
    "*_canvas": ("{0}: right with the canvas, per cent", ""),
    "*_text": ("{0}: right with thoughts in words only, per cent", ""),
    "*_none": ("{0}: right without thoughts, per cent", ""),
    "*_blank": ("{0}: right where the canvas shows nothing, per cent", ""),
    "*_shuffled": ("{0}: right where pixels are shuffled, per cent", ""),
    "*_wrong": ("{0}: right where another question's picture is shown, per cent", ""),
    "*_chance": ("{0}: right by the best blind guess, per cent", ""),
    "accuracy_with_*": ("right in {0} with every patch, share", ""),
    "engine_share_short": (
        "through the server over the engine's own where replies end after some thirty tokens",
        "≥ 0.85",
    ),
    "engine_share": ("tokens a second through the server over the engine's own, 64 streams of 128 to 384", "≥ 0.85"),
    "gap_ms_p*_short": ("milliseconds from one piece of a stream to the next, percentile {0}, short replies", ""),
    "gap_ms_p*": ("milliseconds from one piece of a stream to the next, percentile {0}", ""),
    "tokens_per_second_short": ("tokens a second through the server, short replies", ""),
    "engine_tokens_per_second_short": ("tokens a second of the engine called directly, short replies", ""),
    "tokens_per_second": ("tokens a second through the server, all streams together", ""),
    "engine_tokens_per_second": ("tokens a second of the engine called directly", ""),
    "lost": ("streams that did not end as they should", "0"),
    "first_token_ms_p*_short": ("milliseconds to the first token, percentile {0}, short replies", ""),
    "first_token_ms_p*": ("milliseconds to the first token, percentile {0}", ""),
    "stream_tokens_per_second_p*_short": ("tokens a second of one stream of 64, percentile {0}, short replies", ""),
    "stream_tokens_per_second_p*": ("tokens a second of one stream of 64, percentile {0}", ""),
    "ready_seconds": ("seconds from the command to the first answer", "< 8"),
    "freed_seconds": ("seconds until the memory of clients that vanished is free", "≤ 1"),
    "memory_mb": ("megabytes of the server after an hour of mixed load", ""),
    "memory_growth_mb_per_hour": ("megabytes by which it grows an hour", ""),
    "mixed_lost": ("streams lost in an hour of mixed load", "0"),
    "mixed_answers": ("answers in an hour of mixed load", ""),
    "accuracy_*": ("{0}: contemplating at its best, per cent", ""),
}
"""What a figure means, and what it should be, where that was said beforehand. The first pattern that fits counts;
before a / stands the record it is of, and {0}, {1} are what its stars stand for."""

HEADLINES: dict[str, tuple[str, ...]] = {
    "exam": (*NANO, "media_gap"),
    "nano_agents": ("accuracy_equal_latency_countdown",),
    "first_answer": ("first_answer_seconds",),
    "training": ("documents_ratio", "hf_ratio_256"),
    "decoding": ("hf_ratio_b64", "llamacpp_ratio_b1", "vllm_ratio_b64", "fork8_latency_ratio"),
    "visual_thought": ("search_gain", "maze_gain"),
    "contemplating": ("gain_equal_latency_countdown", "gain_equal_latency_mazes", "gain_equal_latency_charts"),
    "serving": ("engine_share", "lost"),
    "rl": ("trl_ratio",),
    "hacking": ("hacked_undefended", "hacked_both"),
    "practising": ("r_squared_1", "forecast_error_1"),
    "thinking_time": ("gained_alternating",),
    "forecasting": ("loss_error_percent", "accuracy_error_points", "coverage_error_points", "interval_coverage"),
    "multiplier": ("multiplier_low", "multiplier_high"),
}
"""What README begins with, by record: what each part was to reach, whether it did or not."""


def described(record: str, figure: str) -> tuple[str, str]:
    """Return what a figure of a record means, and what it should be, each "" where nothing was said."""
    for pattern, (what, goal) in GOALS.items():
        found = re.fullmatch(
            re.escape(pattern).replace(r"\*", "(.+)"), f"{record}/{figure}" if "/" in pattern else figure
        )
        if found:
            return what.format(*(part.replace("_", " ") for part in found.groups())), goal
    return "", ""
