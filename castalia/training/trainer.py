"""The one trainer, blind to algorithms: sequences with weights go in, the model changes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from castalia.data.stream import Position
from castalia.model.decoder import Decoder, ModelInput
from castalia.model.flops import StepShape, step_flops
from castalia.perception.packing import Batch
from castalia.training.checkpoint import (
    flatten_optimizer,
    load_newest,
    random_state,
    save_checkpoint,
    unflatten_optimizer,
)
from castalia.training.config import TrainingConfig
from castalia.training.distribution import Processes
from castalia.training.metrics import Metrics
from castalia.training.optimizers import build_optimizers, set_rates
from castalia.training.schedule import Schedule


@dataclass
class Progress:
    """How far a run is: `step` optimizer steps, `seconds` of training, what was seen and spent so far."""

    step: int = 0
    seconds: float = 0.0
    positions: int = 0
    documents: int = 0
    flops: float = 0.0


@dataclass
class Trainer:
    """Trains `model` in `directory`; `resume()` before `train()` continues from the newest whole checkpoint."""

    model: Decoder
    config: TrainingConfig
    directory: Path
    processes: Processes = field(default_factory=Processes)
    warn: Callable[[str], None] = print

    def __post_init__(self) -> None:
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        self.model.to(self.processes.device).train()
        self.processes.shard(self.model)
        self.optimizers = build_optimizers(self.model, self.config)
        self.schedule = Schedule(self.config)
        self.progress = Progress()
        if self.config.compile:
            self.model.compile_parts()
        self.metrics = Metrics(self.directory / "metrics.jsonl", self._tracker, self.directory.name)

    @property
    def _tracker(self) -> str:
        return self.config.tracker if self.processes.is_first else "none"

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return this process's weighted sum of -log p over the learned positions, and its sum of |weights|."""
        device = self.processes.device
        at_L, targets_L, weights_L = (
            torch.from_numpy(array).to(device) for array in (batch.learn_at_L, batch.targets_L, batch.weights_L)
        )
        nll_L = self.model(ModelInput.of(batch, device), at_L, targets_M=targets_L)
        return (nll_L * weights_L).sum(), weights_L.abs().sum()

    def step(self, batch: Batch) -> dict[str, float]:
        """Take one optimizer step on this process's share of a global batch; return loss and gradient norm."""
        rate = self.schedule.factor(self.progress.step)
        total, weight = self.loss(batch)
        sums = self.processes.sum(torch.stack((total.detach(), weight)))
        weights = sums[1].clamp(min=1e-8)  # in RL a batch may teach nothing
        # FSDP averages gradients over processes; the loss is a mean over all processes' weights.
        (total * (self.processes.world / weights)).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        set_rates(self.optimizers, rate)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        return {"loss": float(sums[0] / weights), "grad_norm": float(norm), "lr_factor": rate}

    def train(
        self,
        loader: Iterator[Batch] | Any,
        *,
        held_out: list[Batch] | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
        peak_flops: float = 0.0,
    ) -> None:
        """Train to the end of the schedule.

        `loader` yields batches and, if it has ``positions``, they are kept in checkpoints. Every line of metrics also
        goes to `report`. `peak_flops` is the machine's operations a second, for the share of it that is used.
        """
        config, progress = self.config, self.progress
        last_save = last_log = time.perf_counter()
        since: dict[str, float] = {"positions": 0, "flops": 0, "steps": 0}
        while not self.schedule.done(progress.step):
            started = time.perf_counter()
            batch = next(loader)
            waited = time.perf_counter() - started
            result = self.step(batch)
            flops = self._count(batch)
            since["positions"] += batch.positions
            since["flops"] += flops
            since["steps"] += 1
            progress.seconds += time.perf_counter() - started
            self._agree_on_time()
            self.schedule.observe(progress.step, progress.seconds)
            finished = self.schedule.done(progress.step)
            line: dict[str, Any] = {}
            if held_out and (finished or progress.step % config.evaluate_every == 0):
                line["held_out_loss"] = self.evaluate(held_out)
            if line or finished or progress.step % config.log_every == 0 or progress.step == 1:
                now = time.perf_counter()
                elapsed, last_log = now - last_log, now
                line = self._line(result, since, elapsed, peak_flops, waited) | line
                since = dict.fromkeys(since, 0)
                if self.processes.is_first:
                    self.metrics.write(line)
                    if report:
                        report(line)
            due = time.perf_counter() - last_save >= config.checkpoint_seconds
            if config.checkpoint_every:
                due = progress.step % config.checkpoint_every == 0
            if finished or self._any(due):
                self.save(getattr(loader, "positions", None))
                last_save = time.perf_counter()

    def _count(self, batch: Batch) -> float:
        rows, length = batch.tokens_BT.shape
        shape = StepShape(rows, length, len(batch.patch_at_N), len(batch.frame_at_M), len(batch.learn_at_L))
        flops = step_flops(self.model.config, shape, muon=self.config.optimizer == "muon")
        totals = self.processes.sum(torch.tensor([float(batch.positions), batch.documents, flops], dtype=torch.float64))
        self.progress.positions += int(totals[0])
        self.progress.documents += int(totals[1])
        self.progress.flops += float(totals[2])
        return float(totals[2])

    def _agree_on_time(self) -> None:
        """All processes must end at the same step, so the first one's clock counts."""
        if self.processes.world > 1:
            self.progress.seconds = self.processes.gather(self.progress.seconds)[0]

    def _any(self, value: bool) -> bool:
        return self.processes.gather(value)[0] if self.processes.world > 1 else value

    def _line(
        self, result: dict[str, float], since: dict[str, float], elapsed: float, peak_flops: float, waited: float
    ) -> dict[str, Any]:
        progress = self.progress
        line: dict[str, Any] = {"step": progress.step, **result}
        line |= {"positions": progress.positions, "documents": progress.documents, "flops": progress.flops}
        # What follows depends on the clock, and so is not the same in a resumed run.
        line["clock"] = {
            "seconds": progress.seconds,
            "tokens_per_second": since["positions"] / elapsed,
            "waited": waited,
            "peak_share": since["flops"] / elapsed / peak_flops if peak_flops else None,
            "last_step": self.schedule.last_step,
        }
        return line

    def evaluate(self, batches: list[Batch]) -> float:
        """Return the mean loss over `batches` without learning."""
        self.model.eval()
        # Not under no_grad: the blocks would be compiled once more for it.
        sums = torch.stack([torch.stack(self.loss(batch)).detach() for batch in batches]).sum(0)
        self.model.train()
        sums = self.processes.sum(sums)
        return float(sums[0] / sums[1].clamp(min=1e-8))

    def save(self, positions: list[Position] | None) -> None:
        """Write a checkpoint; every process takes part, the first one writes."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=self.processes.world > 1)
        weights: dict[str, Any] = get_model_state_dict(self.model, options=options)
        optimizer = get_optimizer_state_dict(self.model, self.optimizers, options=options)
        shares = self.processes.gather({} if positions is None else dict(enumerate(positions)))
        if self.processes.is_first:
            tensors, plain = flatten_optimizer(optimizer)
            state = {
                "progress": vars(self.progress),
                "last_step": self.schedule.last_step,
                "optimizer": plain,
                "positions": _merge(shares) if positions is not None else None,
            }
            save_checkpoint(
                self.directory / "checkpoints",
                self.progress.step,
                {"model": weights, "optimizer": tensors, "random": {"cpu": random_state()}},
                state,
                self.config.keep_checkpoints,
            )
        self.processes.wait()

    def resume(self) -> list[Position] | None:
        """Load the newest whole checkpoint, if any; return the data positions to go on from."""
        loaded = load_newest(self.directory / "checkpoints", self.warn)
        if loaded is None:
            if self.processes.is_first:
                self.metrics.rewind(0)
            return None
        tensors, state = loaded
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, dict[str, Any](tensors["model"]), options=options)
        optimizer = unflatten_optimizer(tensors["optimizer"], state["optimizer"])
        self._load_optimizers(optimizer)
        torch.set_rng_state(tensors["random"]["cpu"])
        self.progress = Progress(**state["progress"])
        self.schedule.last_step = state["last_step"] if self.config.steps is None else self.config.steps
        if self.processes.is_first:
            self.metrics.rewind(self.progress.step)
        return state["positions"]

    def _load_optimizers(self, saved: dict[str, Any]) -> None:
        """Give every optimizer its state; a parameter that had no gradient yet has none, and keeps none."""
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_optimizer_state_dict(self.model, self.optimizers, saved, options=options)
        names: dict[torch.Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        for optimizer in self.optimizers:
            for parameter in [p for p in optimizer.state if names[p] not in saved["state"]]:
                del optimizer.state[parameter]


def _merge(shares: list[dict[int, Position]]) -> list[Position]:
    """Take every stream's position from the process that reads it: the others never move theirs."""
    return [max((share[stream] for share in shares), key=lambda position: position[-1]) for stream in sorted(shares[0])]
