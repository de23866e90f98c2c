"""The server beside the engine it serves: many streams at once, what is lost, how long the first token takes, memory.

    python benchmarks/serving.py                    the newest local run with countdown, two minutes
    python benchmarks/serving.py --quick
    python benchmarks/serving.py --minutes 60       and then an hour of mixed load: is memory flat?

The server is a process of its own and this one its clients, on the same cores. In turn with it the engine is called
directly, in this process, with the same questions, as many at once: `engine_share` is the median of the ratios of
tokens a second where replies are made to have 128 to 384 tokens, `engine_share_short` where they end when they end,
after some thirty. Nothing may be lost: every stream has an end, a usage and words.
Clients that vanish leave in the middle of their streams; `freed_seconds` is how long their pages of cache stay in use.
"""

import asyncio
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from harness import finish, options, trained

from castalia.data.catalog import build_task
from castalia.document import Document
from castalia.engine.engine import Engine
from castalia.engine.request import Request, Sampling
from castalia.reasoning.effort import Thinking
from castalia.serve.service.process import freeze
from castalia.training.run import load_model

STREAMS, LENGTHS = 64, (128, 384)
Lengths = tuple[int, int] | None
WARM_UP = 2.0
"""Seconds before anything is counted."""


def main() -> None:
    """Measure and print."""
    parser: ArgumentParser = options(__doc__ or "", run=True)
    parser.add_argument("--minutes", type=float, default=0.0, help="mixed load afterwards, for so long")
    arguments = parser.parse_args()
    run = trained(arguments, ("countdown",))
    rounds, seconds = (1, 6.0) if arguments.quick else (5, 10.0)
    task = build_task("countdown")
    questions = [task.sample(seed, 1 + seed % 3, "held_out").prompt() for seed in range(512)]
    engine = Engine(*load_model(run))
    freeze()  # as the server does
    with served(run) as server:
        long = shared(engine, server, questions, rounds, seconds, LENGTHS)
        short = shared(engine, server, questions, rounds, seconds, None)
        figures = {
            **long,
            **{f"{name}_short": value for name, value in short.items() if name != "lost"},
            "lost": long["lost"] + short["lost"],
            "ready_seconds": server.ready,
            "freed_seconds": asyncio.run(vanish(server, questions)),
        }
        if arguments.minutes:
            figures |= asyncio.run(mixed(server, questions, 60 * arguments.minutes))
    finish("serving", figures, arguments)


@dataclass
class Server:
    """A server in a process of its own, and the seconds that it took to be ready."""

    process: subprocess.Popen
    host: str
    port: int
    model: str
    ready: float

    @property
    def megabytes(self) -> float:
        """Its resident memory, and its engine's."""
        pid = self.process.pid
        pids = [str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        found = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{its}/status").read_text()) for its in pids]
        return sum(int(its[1]) / 1024 for its in found if its)


@contextmanager
def served(run: Path) -> Iterator[Server]:
    """Start `castalia serve` on a free port while this lasts."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "castalia", "serve", str(run), "--port", "0"]
        command += ["--database", f"sqlite:///{directory}/serving.db"]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
        assert process.stdout is not None
        try:
            address = next(found[0] for line in process.stdout if (found := re.search(r"http://[\d.]+:\d+", line)))
            parts = urlsplit(address)
            assert parts.hostname and parts.port
            server = Server(process, parts.hostname, parts.port, run.resolve().name, 0.0)
            while True:
                try:
                    asyncio.run(get(server, "/health"))
                    break
                except OSError:
                    time.sleep(0.05)
            server.ready = time.perf_counter() - began
            yield server
        finally:
            process.terminate()
            process.wait(15)


@dataclass
class Load:
    """What streams have given: tokens in so many seconds; seconds to the first, between pieces; tokens a second."""

    tokens: int = 0
    seconds: float = 0.0
    lost: int = 0
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Of all streams together."""
        return self.tokens / self.seconds

    def add(self, other: "Load") -> None:
        """Take in what others have given."""
        self.tokens, self.seconds, self.lost = (
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            self.lost + other.lost,
        )
        self.first += other.first
        self.gaps += other.gaps
        self.rates += other.rates


def quantile(values: list[float], per_cent: int) -> float:
    """Return a percentile."""
    return float(np.percentile(values, per_cent)) if values else 0.0


def shared(
    engine: Engine, server: Server, questions: list[Document], rounds: int, seconds: float, lengths: Lengths
) -> dict[str, float]:
    """Return what the server gives beside the engine alone, for replies of so many tokens (None: as they come)."""
    shares, direct, through = [], [], Load()
    for _ in range(rounds):
        own = engine_alone(engine, questions, seconds, lengths)
        load = asyncio.run(streams(server, questions, seconds, lengths))
        shares.append(load.tokens_per_second / own)
        direct.append(own)
        through.add(load)
    return {
        "engine_share": statistics.median(shares),
        "tokens_per_second": through.tokens / through.seconds,
        "engine_tokens_per_second": statistics.median(direct),
        "lost": float(through.lost),
        "first_token_ms_p50": 1000 * quantile(through.first, 50),
        "first_token_ms_p99": 1000 * quantile(through.first, 99),
        "gap_ms_p50": 1000 * quantile(through.gaps, 50),
        "gap_ms_p99": 1000 * quantile(through.gaps, 99),
        "stream_tokens_per_second_p50": quantile(through.rates, 50),
        "stream_tokens_per_second_p1": quantile(through.rates, 1),
    }


def engine_alone(engine: Engine, questions: list[Document], seconds: float, lengths: Lengths) -> float:
    """Return the tokens a second of the engine when it always has so many questions at once."""
    left, rng = itertools.cycle(questions), random.Random(0)
    running: set[Request] = set()
    began, counted, written = time.perf_counter(), None, 0

    def more() -> None:
        tokens = rng.randint(*lengths) if lengths else None
        thinking = Thinking("high", tokens=tokens)
        sampling = Sampling(min_tokens=tokens or 0)
        running.add(engine.submit(thinking.told(next(left)), sampling, thinking.budget))

    for _ in range(STREAMS):
        more()
    while (now := time.perf_counter()) < began + WARM_UP + seconds:
        if counted is None and now >= began + WARM_UP:
            counted, written = now, 0
        for event in engine.step():
            written += event.token is not None
            if event.reply is not None:
                running.discard(event.request)
                more()
    spent = time.perf_counter() - (counted or began)
    for request in running:
        engine.cancel(request)
    return written / spent


async def get(server: Server, path: str) -> bytes:
    """Return what stands at a path."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode())
    read = await reader.read()
    writer.close()
    return read.partition(b"\r\n\r\n")[2]


async def ask(server: Server, prompt: Document, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a question; return where its stream is read."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 20)
    body = json.dumps(
        {
            "model": server.model,
            "messages": [{"role": "user", "content": prompt.text()}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "reasoning_effort": "high",
            "actions": [],
            **more,
        }
    )
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Connection: close\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode())
    await writer.drain()
    return reader, writer


async def stream(server: Server, prompt: Document, load: Load, counts_from: float, **more: Any) -> None:
    """Read one stream to its end."""
    began = last = time.perf_counter()
    first, usage, is_whole = None, None, False
    reader, writer = await ask(server, prompt, **more)
    async for line in reader:
        if not line.startswith(b"data: "):
            continue
        now = time.perf_counter()
        if first is None and b'"content":""' not in line:
            first = now
        elif first is not None and now - last > 0.001:  # what comes at once is one piece
            load.gaps.append(now - last)
        last = now
        if b'"usage":{' in line:
            usage = json.loads(line[6:])["usage"]
        is_whole = is_whole or line.startswith(b"data: [DONE]")
    writer.close()
    ended = time.perf_counter()
    if not (is_whole and usage and usage["completion_tokens"]):
        load.lost += 1
    elif first is not None and began >= counts_from:
        load.first.append(first - began)
        load.rates.append(usage["completion_tokens"] / (ended - began))


async def number(server: Server, name: str) -> float:
    """Return what the server counts under a name."""
    found = re.search(rf"^{name} (\S+)$", (await get(server, "/metrics")).decode(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the server does not count {name}")
    return float(found[1])


async def streams(server: Server, questions: list[Document], seconds: float, lengths: Lengths) -> Load:
    """Keep so many streams open at once; count what the engine writes meanwhile."""
    load, left, rng = Load(), itertools.cycle(questions), random.Random(0)
    ends = time.perf_counter() + WARM_UP + seconds
    counts_from = ends - seconds

    async def client() -> None:
        while time.perf_counter() < ends:
            tokens = rng.randint(*lengths) if lengths else None
            length = {"min_tokens": tokens, "max_tokens": tokens} if tokens else {}
            await stream(server, next(left), load, counts_from, **length)

    clients = [asyncio.create_task(client()) for _ in range(STREAMS)]
    await asyncio.sleep(WARM_UP)
    began, before = time.perf_counter(), await number(server, "castalia_engine_tokens")
    await asyncio.sleep(max(0.0, ends - time.perf_counter()))
    after = await number(server, "castalia_engine_tokens")
    load.tokens, load.seconds = int(after - before), time.perf_counter() - began
    await asyncio.gather(*clients)
    return load


async def vanish(server: Server, questions: list[Document]) -> float:
    """Let half of the clients leave in the middle of long streams; return how long their pages stay in use."""
    idle = await number(server, "castalia_cache_pages_used")
    pattern = {
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array", "minItems": 400}}}
    }
    opened = [await ask(server, question, max_tokens=4000, **pattern) for question in questions[: STREAMS // 2]]
    for reader, _ in opened:
        await reader.readuntil(b"data: ")
    while await number(server, "castalia_cache_pages_used") < idle + STREAMS // 2:
        await asyncio.sleep(0.01)
    for _, writer in opened:
        writer.transport.abort()
    began = time.perf_counter()
    while await number(server, "castalia_cache_pages_used") > idle:
        if time.perf_counter() - began > 30:
            return float("inf")
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


async def mixed(server: Server, questions: list[Document], seconds: float) -> dict[str, float]:
    """Answer a mixture for long: streams, contemplating, several choices, some that leave; return how memory grows."""
    load, left = Load(), itertools.cycle(questions)
    ways: list[dict[str, Any]] = [{}, {}, {"contemplate": {"agents": 4}}, {"n": 3, "temperature": 1.0}]
    ends, marks = time.perf_counter() + seconds, []

    async def client(kind: int) -> None:
        for turn in itertools.count():
            if time.perf_counter() >= ends:
                return
            if turn % 10 == 9:
                reader, writer = await ask(server, next(left))
                await reader.readuntil(b"data: ")
                writer.transport.abort()
            else:
                await stream(server, next(left), load, 0.0, **ways[(kind + turn) % len(ways)])

    clients = [asyncio.create_task(client(kind)) for kind in range(16)]
    while time.perf_counter() < ends:
        await asyncio.sleep(min(5.0, max(0.1, ends - time.perf_counter())))
        marks.append(server.megabytes)
    await asyncio.gather(*clients)
    settled = marks[len(marks) // 4 :]  # what is cached at first is no leak
    hours = (len(settled) - 1) * 5 / 3600
    growth = (statistics.median(settled[-12:]) - statistics.median(settled[:12])) / hours if hours else 0.0
    return {"memory_mb": marks[-1], "memory_growth_mb_per_hour": growth, "mixed_lost": float(load.lost),
            "mixed_answers": float(len(load.first))}  # fmt: skip


if __name__ == "__main__":
    main()
