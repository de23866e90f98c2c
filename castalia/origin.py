"""Where figures come from: the command, the commit, the machine, the day."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch


def origin(command: str) -> dict[str, str]:
    """Return ``{command, commit, machine, date}`` of what is measured now, by this code, on this machine."""
    return {"command": command, **here()}


def here() -> dict[str, str]:
    """Return ``{commit, machine, date}``: this code, this machine, today.

    With changes that are not committed a ``+`` follows the commit; without git it is the version of the package.
    """
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    machine = (
        f"{processor}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    )
    return {"commit": _commit(), "machine": machine, "date": datetime.date.today().isoformat()}


def _commit() -> str:
    def git(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True)

    with contextlib.suppress(OSError):
        if git("ls-files", "--error-unmatch", "__init__.py").returncode == 0:
            changed = git("status", "--porcelain", "--untracked-files=no", "--", ".").stdout
            return git("rev-parse", "--short", "HEAD").stdout.strip() + "+" * bool(changed)
    return importlib.metadata.version("castalia")


def joined(origins: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return several origins as one: what they say, where they differ one after the other."""
    origins = list(origins)
    return {name: ", ".join(dict.fromkeys(one[name] for one in origins)) for name in origins[0]}
