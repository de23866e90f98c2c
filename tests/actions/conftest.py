"""A guard around what actions do: nothing outside is touched, and memory does not fill."""

import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

OUTSIDE = re.compile("(open|os|socket|subprocess|shutil|tempfile|ctypes)(\\.|$)")


class Watch:
    """Notes what this process does to files, network and processes while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[tuple[str, Any]] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and OUTSIDE.match(event):
            self.seen.append((event, arguments))


@pytest.fixture(scope="session")
def watch() -> Watch:
    watch = Watch()
    sys.addaudithook(watch)  # for good, but it looks away unless it is on
    return watch


def peak(*, reset: bool = False) -> float:
    """Return the most memory that this process has had, in MB, since the last `reset`; 0 where that cannot be told."""
    if not os.path.exists("/proc/self/clear_refs"):
        return 0.0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


@pytest.fixture
def guarded(watch: Watch) -> Callable[..., AbstractContextManager[int]]:
    """Return a context in which memory may grow by so many MB, and nothing outside is touched if it is `watched`.

    It gives a port of this machine's that nobody may connect to.
    """

    @contextmanager
    def guard(megabytes: float, *, watched: bool = True) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0)
            watch.seen.clear()
            before, watch.on = peak(reset=True), watched
            try:
                yield listener.getsockname()[1]
            finally:
                watch.on = False
            assert peak() - before < megabytes
            assert watch.seen == []
            with pytest.raises(BlockingIOError):
                listener.accept()

    return guard
