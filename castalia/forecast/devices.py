"""Devices that a run is planned for: how fast they are, what they hold, and what they cost."""

import os
from dataclasses import dataclass, replace

from castalia.errors import RecipeError, nearest
from castalia.model.flops import parameters
from castalia.training.recipe import Recipe


@dataclass(frozen=True)
class Device:
    """One device: its dense peak (FLOPs a second), its memory (bytes), and about what an hour of it costs to rent."""

    flops: float
    memory: float
    dollars: float | None


DEVICES = {
    "l4": Device(121e12, 24e9, 0.7),
    "a10": Device(125e12, 24e9, 0.75),
    "rtx4090": Device(165e12, 24e9, 0.4),
    "l40s": Device(362e12, 48e9, 1.0),
    "a100": Device(312e12, 80e9, 1.5),
    "h100": Device(989e12, 80e9, 2.5),
    "h200": Device(989e12, 141e9, 3.5),
    "b200": Device(2250e12, 192e9, 5.0),
    "mi300x": Device(1307e12, 192e9, 2.5),
}
"""Dense bf16 peaks and memory are the makers'; prices are of the middle of 2026 and change: --price says yours."""
LAPTOP = "laptop"
"""This machine, whose peak is measured, and that trains in fp32."""
MFU = {LAPTOP: 0.5}
"""Share of the peak that training reaches, where it is not said: what was measured here; 0.4 elsewhere."""


@dataclass(frozen=True)
class Cluster:
    """So many devices of a kind, and the share of their peak that training reaches (MFU)."""

    name: str
    device: Device
    count: int
    mfu: float

    @property
    def launcher(self) -> str:
        """The command that starts Castalia on all of them; machines of eight where there are more."""
        if self.count == 1:
            return "castalia"
        machines = self.count // 8 if self.count > 8 and self.count % 8 == 0 else 1
        nodes = f"--nnodes {machines} " if machines > 1 else ""
        return f"torchrun {nodes}--nproc-per-node {self.count // machines} -m castalia"

    def hours(self, flops: float) -> float:
        """Return the hours that so many operations take."""
        return flops / (self.device.flops * self.count * self.mfu) / 3600

    def flops(self, hours: float) -> float:
        """Return the operations of so many hours."""
        return hours * 3600 * self.device.flops * self.count * self.mfu


def cluster_of(text: str, mfu: float | None = None, price: float | None = None) -> Cluster:
    """Return what ``laptop``, ``h100`` or ``h100:8`` says. Raises RecipeError for what is none."""
    name, _, number = text.partition(":")
    if not (number or "1").isdecimal() or (count := int(number or 1)) < 1:
        raise RecipeError(f"--device expects a device and how many, as h100:8, not {text!r}")
    if name == LAPTOP:
        from castalia.training.pretrain import measure_peak_flops

        device = Device(measure_peak_flops(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None)
    elif name in DEVICES:
        device = DEVICES[name]
    else:
        raise RecipeError(f"no device {name!r}: {nearest(name, [LAPTOP, *DEVICES])}")
    share = MFU.get(name, 0.4) if mfu is None else mfu
    if not 0 < share <= 1:
        raise RecipeError(f"--mfu is a share of the peak, above 0 and at most 1, not {share}")
    return Cluster(name, device if price is None else replace(device, dollars=price), count, share)


def state_bytes(recipe: Recipe, devices: int) -> float:
    """Return bytes a device of weights, gradients and optimizer in fp32, sharded by FSDP2 over all.

    Muon keeps one value a parameter, AdamW two, as it does for embeddings in either case.
    """
    count = parameters(recipe.model)
    embeddings = count["total"] - count["blocks"] - count["vision"]
    matrices = 4 if recipe.training.optimizer == "muon" else 8
    return (8 * count["total"] + matrices * (count["total"] - embeddings) + 8 * embeddings) / devices


def activation_bytes(recipe: Recipe, devices: int) -> float:
    """Return bytes a device of what the backward pass needs: 34 a value of the width and layer in bf16, twice that in
    fp32 (Korthikanti et al., arXiv 2205.05198, flash attention), and the logits of half of the positions."""
    model, feed = recipe.model, recipe.feed
    rows = -(-feed.rows // devices)
    value = 34 if recipe.training.precision == "bf16" else 68
    of_position = value * model.width * (model.layers + model.vision_layers) + 8 * model.vocab_size / 2
    return rows * feed.length * of_position
