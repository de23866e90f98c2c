"""The one trainer, blind to algorithms: sequences with weights go in, the model changes."""

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from castalia.errors import CheckpointError
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


class Loss(NamedTuple):
    """Of one batch, summed over its learned positions: the loss, and the sizes of the weights.

    Where a sampler's log-probabilities are known: how far they are from the model's, and how many there are.
    """

    total: Tensor
    weight: Tensor
    apart: Tensor
    sampled: Tensor


Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""-log p, weights and the sampler's log-probabilities of L learned positions -> what each of them adds to the loss."""


def weighted(nll_L: Tensor, weights_L: Tensor, logprobs_L: Tensor) -> Tensor:
    """Return -log p by its weight: the gradient of imitation, and of a policy that has just been sampled from."""
    return nll_L * weights_L


@dataclass
class Trainer:
    """Trains `model` in `directory`; `resume()` before `train()` continues from the newest whole checkpoint.

    `objective` says what every learned position adds to the loss.
    """

    model: Decoder
    config: TrainingConfig
    directory: Path
    processes: Processes = field(default_factory=Processes)
    warn: Callable[[str], None] = print
    objective: Objective = weighted

    def __post_init__(self) -> None:
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        self.model.to(self.processes.device).train()
        self.processes.shard(self.model)
        self.optimizers = build_optimizers(self.model, self.config)
        self.schedule = Schedule(self.config)
        self.progress = Progress()
        if (
            self.config.compile
            and self.processes.device.type == "cpu"
            and not shutil.which(os.environ.get("CXX", "g++"))
        ):
            self.warn("there is no C++ compiler (apt install g++), which would make training faster")
        elif self.config.compile:
            self.model.compile_parts()
        self.metrics = Metrics(self.directory / "metrics.jsonl", self._tracker, self.directory.name)

    @property
    def _tracker(self) -> str:
        return self.config.tracker if self.processes.is_first else "none"

    def loss(self, batch: Batch) -> Loss:
        """Return what this process's batch adds to the loss, and by which weights."""
        device = self.processes.device
        at_L, targets_L, weights_L, logprobs_L = (
            torch.from_numpy(array).to(device)
            for array in (batch.learn_at_L, batch.targets_L, batch.weights_L, batch.logprobs_L)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            nll_L = self.model(ModelInput.of(batch, device), at_L, targets_M=targets_L)
        is_sampled_L = ~logprobs_L.isnan()
        apart = torch.where(is_sampled_L, nll_L.detach() + logprobs_L, 0).abs().sum()
        total = self.objective(nll_L, weights_L, logprobs_L).sum()
        return Loss(total, weights_L.abs().sum(), apart, is_sampled_L.sum())

    def step(self, *batches: Batch) -> dict[str, float]:
        """Take one optimizer step on this process's share of a global batch, in one piece or several.

        Returns loss and gradient norm; with samples, the mean distance of the sampler's log-probabilities from the
        model's. All processes must have equally many pieces. Raises CheckpointError, before any weight is changed, for
        a gradient that is not finite.
        """
        rate = self.schedule.factor(self.progress.step)
        weight = sum(float(np.abs(batch.weights_L).sum()) for batch in batches)
        weights = self.processes.sum(torch.tensor(weight, device=self.processes.device)).clamp(min=1e-8)
        losses = []
        for batch in batches:
            loss = self.loss(batch)
            # FSDP averages gradients over processes; the loss is a mean over all processes' weights.
            (loss.total * (self.processes.world / weights)).backward()
            losses.append(torch.stack((loss.total.detach(), loss.apart, loss.sampled.float())))
        total, apart, sampled = self.processes.sum(torch.stack(losses).sum(0)).tolist()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(norm):
            raise CheckpointError(
                f"the gradient of step {self.progress.step + 1} is {norm}: the newest checkpoint is as it was before; "
                "lower training.matrix_lr and training.other_lr, or look at the data"
            )
        set_rates(self.optimizers, rate)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        # Fused optimizers change weights without a word; an engine that generates with them must notice.
        torch.autograd.graph.increment_version(list(self.model.parameters()))
        self.progress.step += 1
        result = {"loss": total / float(weights), "grad_norm": norm, "lr_factor": rate}
        return result | ({"sampler_gap": apart / sampled} if sampled else {})

    def train(
        self,
        loader: Iterator[Batch] | Any,
        *,
        evaluate: Callable[[], dict[str, Any]] | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
        peak_flops: float = 0.0,
    ) -> None:
        """Train to the end of the schedule.

        `loader` yields what each step learns from: a batch, or several. If it has a ``state``, that is kept in
        checkpoints; if it has ``metrics``, they are added to those of the step, and its ``seconds`` to what the clock
        says. What `evaluate` returns is added now and then. Every line of metrics also goes to `report`. `peak_flops`
        is the machine's operations a second, for the share of it that is used.
        """
        config, progress = self.config, self.progress
        last_save = last_log = time.perf_counter()
        since: dict[str, float] = {"positions": 0, "flops": 0, "steps": 0}
        while not self.schedule.done(progress.step):
            started = time.perf_counter()
            item = next(loader)
            batches = [item] if isinstance(item, Batch) else item
            waited = time.perf_counter() - started
            result = self.step(*batches)
            flops = sum(map(self._count, batches))
            since["positions"] += sum(batch.positions for batch in batches)
            since["flops"] += flops
            since["steps"] += 1
            progress.seconds += time.perf_counter() - started
            self._agree_on_time()
            self.schedule.observe(progress.step, progress.seconds)
            finished = self.schedule.done(progress.step)
            line: dict[str, Any] = {}
            if evaluate and (finished or progress.step % config.evaluate_every == 0):
                line |= evaluate()
            if line or finished or progress.step % config.log_every == 0 or progress.step == 1:
                now = time.perf_counter()
                elapsed, last_log = now - last_log, now
                line = self._line(result, since, elapsed, peak_flops, waited) | getattr(loader, "metrics", {}) | line
                line["clock"] |= getattr(loader, "seconds", {})
                since = dict.fromkeys(since, 0)
                if self.processes.is_first:
                    self.metrics.write(line)
                    if report:
                        report(line)
            due = time.perf_counter() - last_save >= config.checkpoint_seconds
            if config.checkpoint_every:
                due = progress.step % config.checkpoint_every == 0
            if finished or self._any(due):
                self.save(loader)
                last_save = time.perf_counter()

    def _count(self, batch: Batch) -> float:
        rows, length = batch.tokens_BT.shape
        shape = StepShape(
            rows, length, len(batch.patch_at_N), len(batch.frame_at_M), len(batch.learn_at_L), batch.pairs
        )
        flops = step_flops(self.model.config, shape, muon=self.config.optimizer == "muon")
        counts = [float(batch.positions), batch.documents, flops]
        totals = self.processes.sum(torch.tensor(counts, dtype=torch.float64, device=self.processes.device))
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
            "done": self.schedule.share(progress.step, progress.seconds),
        }
        return line

    def evaluate(self, batches: list[Batch]) -> float:
        """Return the mean loss over `batches` without learning."""
        self.model.eval()
        # Not under no_grad: the blocks would be compiled once more for it.
        sums = torch.stack([torch.stack(self.loss(batch)[:2]).detach() for batch in batches]).sum(0)
        self.model.train()
        sums = self.processes.sum(sums)
        return float(sums[0] / sums[1].clamp(min=1e-8))

    def weights(self) -> dict[str, Tensor]:
        """Return all weights, whole; every process takes part, and the first has them."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=self.processes.world > 1)
        return dict[str, Any](get_model_state_dict(self.model, options=options))

    def save(self, loader: Any = None) -> None:
        """Write a checkpoint, with the state of `loader` if it has one; all processes take part, the first writes."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=self.processes.world > 1)
        weights = self.weights()
        optimizer = get_optimizer_state_dict(self.model, self.optimizers, options=options)
        data = loader.state(self.processes.gather) if hasattr(loader, "state") else None
        if self.processes.is_first:
            tensors, plain = flatten_optimizer(optimizer)
            state = {
                "progress": vars(self.progress),
                "last_step": self.schedule.last_step,
                "first": {"step": self.schedule.first_step, "seconds": self.schedule.first_seconds},
                "optimizer": plain,
                "data": data,
            }
            save_checkpoint(
                self.directory / "checkpoints",
                self.progress.step,
                {"model": weights, "optimizer": tensors, "random": {"cpu": random_state()}},
                state,
                self.config.keep_checkpoints,
            )
        self.processes.wait()

    def resume(self) -> Any:
        """Load the newest whole checkpoint, if any; return the state that its loader had."""
        loaded = load_newest(self.directory / "checkpoints", self.warn)
        if loaded is None:
            if self.processes.is_first:
                self.metrics.rewind(0)
            return None
        tensors, state = loaded
        first = state.get("first", {"step": 0, "seconds": 0.0})
        # A run that begins with another's weights has no optimizer yet; a published one has none any more.
        if "optimizer" not in tensors and state["progress"]["step"] != first["step"]:
            raise CheckpointError(
                f"{self.directory} was published, without its optimizer: it cannot go on, but another run can begin "
                f"with its weights (castalia pretrain RECIPE --from {self.directory})"
            )
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, dict[str, Any](tensors["model"]), options=options)
        if "optimizer" in tensors:
            self._load_optimizers(unflatten_optimizer(tensors["optimizer"], state["optimizer"]))
            torch.set_rng_state(tensors["random"]["cpu"])
        self.progress = Progress(**state["progress"])
        last_step = state.get("last_step") if self.config.steps is None else None
        self.schedule = Schedule(self.config, last_step, first["step"], first["seconds"])
        if self.processes.is_first:
            self.metrics.rewind(self.progress.step)
        return state["data"]

    def _load_optimizers(self, saved: dict[str, Any]) -> None:
        """Give every optimizer its state; a parameter that had no gradient yet has none, and keeps none."""
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_optimizer_state_dict(self.model, self.optimizers, saved, options=options)
        names: dict[torch.Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        for optimizer in self.optimizers:
            for parameter in [p for p in optimizer.state if names[p] not in saved["state"]]:
                del optimizer.state[parameter]
