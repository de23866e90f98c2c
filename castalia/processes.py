"""Processes that are begun here: they end when we do, leave Ctrl-C to us, and share the cores."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

import torch

from castalia.errors import CastaliaError

T = TypeVar("T")
GLANCE = 1.0
"""Seconds between two looks at who is at work."""


def end_with_parent() -> None:
    """Let the kernel end this process when its parent is killed: a worker would wait for good to hand over its work."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, linux/prctl.h


@contextmanager
def without_interrupt() -> Generator[None]:
    """Let processes that are begun in here ignore Ctrl-C, in the main thread, which alone can say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def side_by_side(
    work: Callable[[T], None], things: Sequence[T], jobs: int, watch: Callable[[T], None] = lambda thing: None
) -> None:
    """Do `work` on every thing, so many at a time, each in a process with its share of the cores.

    `watch` is called with each that is at work, about once a second. Whatever `work` raises as `CastaliaError` is
    raised; whoever else is at work then, or when it is interrupted, is killed.
    """
    waiting, at_work = list(reversed(things)), dict[Connection, tuple[T, BaseProcess]]()
    context, threads = multiprocessing.get_context("spawn"), max(1, (os.cpu_count() or 1) // jobs)
    try:
        while waiting or at_work:
            while waiting and len(at_work) < jobs:
                thing = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(work, thing, threads, theirs))
                with without_interrupt():
                    process.start()
                theirs.close()
                at_work[ours] = thing, process
            ready = wait(list(at_work), timeout=GLANCE)
            for ended in [pipe for pipe in at_work if pipe in ready]:
                _, process = at_work.pop(ended)
                error = _told_by(ended)
                process.join()
                if error:
                    raise error
            for thing, _ in at_work.values():
                watch(thing)
    finally:
        for _, process in at_work.values():
            process.kill()
        for _, process in at_work.values():
            process.join()


def _work(work: Callable[[T], None], thing: T, threads: int, pipe: Connection) -> None:
    end_with_parent()
    torch.set_num_threads(threads)
    try:
        work(thing)
    except CastaliaError as error:
        pipe.send(error)
    else:
        pipe.send(None)


def _told_by(pipe: Connection) -> CastaliaError | None:
    try:
        return pipe.recv()
    except EOFError:
        return CastaliaError("a process ended before its work was done: its error is above, or memory was wanting")
