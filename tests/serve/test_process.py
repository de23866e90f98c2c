"""The engine in a process of its own: it ends with its server, and if it ends before, everybody is told."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from castalia.document import Document, Part
from castalia.engine.request import Request
from castalia.engine.shared import Seat
from castalia.errors import CheckpointError
from castalia.serve.database import open_database
from castalia.serve.server import local_service
from castalia.serve.service.job import Job
from castalia.serve.service.local import LocalService
from castalia.serve.service.process import ProcessService

Until = Callable[[Callable[[], bool]], None]
ASKED = {"model": "small", "messages": [{"role": "user", "content": "Make 10 from 2, 5."}]}
ENDLESS = {"type": "json_schema", "json_schema": {"schema": {"type": "array", "minItems": 100_000}}}


@pytest.fixture
def served(trained: Path) -> Iterator[ProcessService]:
    service = local_service(trained, "small")
    yield service
    service.close()


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_engine_that_is_killed_is_said_to_streams_to_new_requests_and_to_health(
    served: ProcessService, start: Callable[..., str]
) -> None:
    address = start(served)
    assert httpx.get(f"{address}/health").status_code == 200
    body = ASKED | {"stream": True, "response_format": ENDLESS, "max_tokens": 100_000}
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body, timeout=60) as stream:
        lines = (line for line in stream.iter_lines() if line)
        next(lines)
        served.process.send_signal(signal.SIGKILL)
        *_, last = lines
    assert "must be started again" in json.loads(last.removeprefix("data: "))["error"]["message"]
    refused = httpx.post(f"{address}/v1/chat/completions", json=ASKED, timeout=60)
    assert refused.status_code == 503 and "must be started again" in refused.text
    assert httpx.get(f"{address}/health").status_code == 503


def test_an_engine_ends_with_its_server_even_if_that_is_killed(trained: Path, until: Until) -> None:
    work = f"""
import time
from pathlib import Path
from castalia.serve.server import local_service
service = local_service(Path({str(trained)!r}))
print(service.process.pid, service.models, flush=True)
time.sleep(600)
"""
    server = subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(server.stdout.readline().split()[0])
    assert is_there(pid)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    until(lambda: not is_there(pid))


def test_a_run_that_cannot_be_loaded_is_said_by_whoever_asks_for_it(tmp_path: Path) -> None:
    service = local_service(tmp_path)
    with pytest.raises(CheckpointError, match="is not a run"):
        _ = service.models
    service.close()
    assert not is_there(service.process.pid)


def test_who_leaves_while_a_request_is_made_leaves_nothing_behind(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    submit, is_submitted = service.submit, threading.Event()

    def submitting(seat: Seat, job: Job) -> list[Request]:
        made = submit(seat, job)
        is_submitted.set()
        return made

    monkeypatch.setattr(service, "submit", submitting)

    async def leave() -> None:
        prompt = Document((Part("Make 10 from 2, 5.", "user"),))
        job = Job(prompt, max_tokens=100_000, schema={"type": "array", "minItems": 100_000})
        first = asyncio.ensure_future(anext(service.updates(job)))
        await asyncio.sleep(0)  # it has begun, and is made in another thread
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await asyncio.to_thread(is_submitted.wait, 60)
        await asyncio.sleep(0.2)  # the loop goes on, as a server's does

    def made() -> bool:
        return bool(service.shared.ask(lambda: service.assistant.engine.scheduler.running))

    with ThreadPoolExecutor(1) as another:  # in this one the browser's tests leave a loop that runs
        another.submit(asyncio.run, leave()).result()
    until(lambda: not made())
    assert service.shared.ask(lambda: service.assistant.engine.pool.free) == len(service.assistant.engine.pool.users)


@pytest.mark.parametrize("asked", [{}, {"n": 3, "temperature": 1.0}])
def test_who_leaves_frees_the_engine_and_is_charged(
    served: ProcessService, start: Callable[..., str], tmp_path: Path, until: Until, asked: dict[str, Any]
) -> None:
    kept = open_database(f"sqlite:///{tmp_path / 'kept.db'}")
    address = start(served, kept)
    body = ASKED | {"stream": True, "reasoning_effort": "high", "min_tokens": 4000, "max_tokens": 4000} | asked
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body, timeout=60) as stream:
        lines = (line for line in stream.iter_lines() if line)
        next(lines)
    until(lambda: "castalia_cache_pages_used 0.0" in httpx.get(f"{address}/metrics").text)

    def charged() -> bool:
        kept.flush()
        with kept.session() as session:
            written = session.connection().exec_driver_sql("SELECT status, completion_tokens FROM usage").all()
        return len(written) == 1 and written[0][0] == 499 and written[0][1] > 0

    until(charged)
    kept.close()
