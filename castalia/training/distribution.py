"""One process or many: torchrun's environment, FSDP2, sums over processes."""

import os

import torch
import torch.distributed as dist
from torch import Tensor

from castalia.model import Decoder


class Processes:
    """The processes of this run: `rank` of `world`. Without torchrun there is one, and nothing is communicated."""

    def __init__(self) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = (
            torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if _has_gpu() else torch.device("cpu")
        )
        if self.world > 1 and not dist.is_initialized():
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def is_first(self) -> bool:
        """Say whether this process writes files and talks to people."""
        return self.rank == 0

    def shard(self, model: Decoder) -> None:
        """Share the parameters of every block, and the rest, among the processes (FSDP2); nothing for one process."""
        if self.world == 1:
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.world,))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all processes."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def gather(self, item: object) -> list:
        """Return the `item` of every process, in order of rank."""
        if self.world == 1:
            return [item]
        items: list = [None] * self.world
        dist.all_gather_object(items, item)
        return items

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the process group."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


def _has_gpu() -> bool:
    return torch.cuda.is_available()
