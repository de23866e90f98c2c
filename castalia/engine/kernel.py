"""Kernels in C on processors that have a compiler; attention over pages in PyTorch everywhere else."""

import ctypes
import functools
import hashlib
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from castalia.data.cache import cache_directory, publish
from castalia.engine.context import PAGE
from castalia.errors import DataError

SOURCE = Path(__file__).with_name("kernels.c")
LARGEST_HEAD = 512
PANEL = 32
"""Columns of weights that lie together."""
# No -fopenmp when linking: the threads are those of the OpenMP that PyTorch has loaded already.
COMPILE = ("-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-fopenmp", "-fPIC", "-c")
SIZES = tuple(f"-D{name}={size}" for name, size in (("PAGE", PAGE), ("PANEL", PANEL), ("LARGEST_HEAD", LARGEST_HEAD)))


@dataclass(frozen=True)
class Reach:
    """What N new positions may see: ``rows_N`` says of which request each is, ``tables_RP`` gives its pages.

    ``lo_N`` (in window layers), ``hi_N`` are the first and the last position seen; in global layers the first is 0.
    ``slots_N`` is where each position is stored: page · PAGE + place in the page.
    """

    slots_N: Tensor
    rows_N: Tensor
    lo_N: Tensor
    hi_N: Tensor
    tables_RP: Tensor

    def in_c(self, pages: Tensor, lo_N: Tensor, heads: int) -> "ReachInC":
        """Return the same as the kernel reads it, for one layer's `pages`; the tensors must outlive it."""
        tensors = (pages[0], pages[1], self.slots_N, self.rows_N, lo_N, self.hi_N, self.tables_RP)
        groups, _, d = pages.shape[2:]
        return ReachInC(*map(pointer, tensors), self.tables_RP.shape[1], len(self.rows_N), heads, groups, d)


class ReachInC(ctypes.Structure):
    """`Reach` of kernels.c."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("keys", "values", "slots", "rows", "lo", "hi", "tables")] + [
        (name, ctypes.c_int64) for name in ("table_width", "N", "H", "G", "d")
    ]


class StackInC(ctypes.Structure):
    """`Stack` of kernels.c."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in ("layers", "D", "F")]
        + [(name, ctypes.c_void_p) for name in ("cos", "sin", "embedded")]
        + [(name, ctypes.c_int32) for name in ("qk_norm", "gated")]
    )


class LayerInC(ctypes.Structure):
    """`Layer` of kernels.c."""

    _fields_ = (
        [(name, ctypes.c_void_p) for name in ("inward", "outward", "keys", "values")]
        + [("mix", ctypes.c_float)]
        + [(name, ctypes.c_int32) for name in ("rotary", "window", "embedded")]
    )


def pointer(tensor: Tensor | None) -> int | None:
    """Return where the numbers of a tensor begin, as the kernel takes it."""
    return None if tensor is None else tensor.data_ptr()


def compiled(pages: Tensor) -> ctypes.CDLL | None:
    """Return the kernels in C for these pages; None where they cannot be used."""
    fits = pages.device.type == "cpu" and pages.dtype == torch.float32 and pages.shape[-1] <= LARGEST_HEAD
    return _compiled() if fits else None


def paged_attention(q_NHd: Tensor, k_NGd: Tensor, v_NGd: Tensor, pages: Tensor, reach: Reach, lo_N: Tensor) -> Tensor:
    """Store keys and values in `pages` [2, pages, G, PAGE, d] and return the attention output [N, H, d]."""
    library = compiled(pages)
    if library is None:
        return attend_in_pytorch(q_NHd, k_NGd, v_NGd, pages, reach, lo_N)
    q, k, v = (x.contiguous() for x in (q_NHd, k_NGd, v_NGd))
    out = torch.empty_like(q)
    library.paged_attention(*map(pointer, (q, k, v, out)), reach.in_c(pages, lo_N, q.shape[1]))
    return out


def attend_in_pytorch(q_NHd: Tensor, k_NGd: Tensor, v_NGd: Tensor, pages: Tensor, reach: Reach, lo_N: Tensor) -> Tensor:
    """Do the same with PyTorch: on other devices, without a compiler, and to test the kernel against."""
    at, slot = reach.slots_N // PAGE, reach.slots_N % PAGE
    pages[0][at, :, slot], pages[1][at, :, slot] = k_NGd, v_NGd
    tables_RP, rows_N = reach.tables_RP.long(), reach.rows_N.long()
    # [R, P, G, PAGE, d] -> [N, G, P · PAGE, d]
    k_NGSd, v_NGSd = (x[tables_RP].transpose(1, 2).flatten(2, 3)[rows_N] for x in pages)
    groups = q_NHd.shape[1] // k_NGd.shape[1]
    k_NHSd, v_NHSd = (x.repeat_interleave(groups, 1) for x in (k_NGSd, v_NGSd))
    position_S = torch.arange(k_NHSd.shape[2], device=q_NHd.device)
    seen_NS = (position_S >= lo_N[:, None]) & (position_S <= reach.hi_N[:, None])
    unseen = ~seen_NS[:, None, :, None]  # pages may hold anything where nothing was stored
    k_NHSd, v_NHSd = k_NHSd.masked_fill(unseen, 0), v_NHSd.masked_fill(unseen, 0)
    mask = seen_NS[:, None, None]
    return F.scaled_dot_product_attention(q_NHd[:, :, None], k_NHSd, v_NHSd, attn_mask=mask)[:, :, 0]


@functools.cache
def _compiled() -> ctypes.CDLL | None:
    """Return the kernels in C, compiled once a machine; None where that cannot be done."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    identity = SOURCE.read_bytes() + " ".join((compiler, *COMPILE, *SIZES, _processor())).encode()
    directory = cache_directory() / "kernels" / hashlib.sha256(identity).hexdigest()[:16]

    def build(into: Path) -> dict[str, str]:
        for command in (
            (compiler, *COMPILE, *SIZES, str(SOURCE), "-o", str(into / "kernels.o")),
            (compiler, "-shared", str(into / "kernels.o"), "-o", str(into / "kernels.so"), "-lm"),
        ):
            subprocess.run(command, check=True, capture_output=True)
        return {"compiler": compiler}

    try:
        publish(directory, build)
        library = ctypes.CDLL(str(directory / "kernels.so"))
    except (DataError, OSError, subprocess.CalledProcessError):
        return None
    stack, layers, reach = map(ctypes.POINTER, (StackInC, LayerInC, ReachInC))
    library.paged_attention.argtypes = [ctypes.c_void_p] * 4 + [reach]
    library.blocks.argtypes = [ctypes.c_void_p] * 3 + [stack, layers, reach]
    library.paged_attention.restype = library.blocks.restype = None
    return library


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
