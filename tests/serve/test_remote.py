"""Our reasoning over any OpenAI-compatible endpoint: here a server of ours, and one that says what a test wants."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from castalia.serve.service.remote import RemoteService

ASKED: list[Any] = [{"role": "user", "content": "Make 10 from 2, 5."}]
PIXEL = "data:image/bmp;base64,Qk06AAAAAAAAADYAAAAoAAAAAQAAAAEAAAABABgAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAA////AA=="


@pytest.fixture
def through(start: Callable[..., str]) -> Iterator[Callable[[str], openai.OpenAI]]:
    """Return a function that serves the model called small behind an address, and a client of that server."""
    made: list[RemoteService] = []

    def serve(url: str) -> openai.OpenAI:
        made.append(RemoteService(f"{url}/v1", "small", "secret"))
        return openai.OpenAI(base_url=f"{start(made[-1])}/v1", api_key="any", max_retries=0)

    yield serve
    for service in made:
        service.close()


class Endpoint:
    """An endpoint that keeps what it is asked and answers with what a test wants: words, calls, or an error."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked, self.keys = list(answers), list[dict[str, Any]](), list[str | None]()
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self.answer)

    async def answer(self, request: Request) -> Any:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return JSONResponse({"error": {"message": "no more for you"}}, answer)
        delta = (
            {"content": answer}
            if isinstance(answer, str)
            else {"tool_calls": [call | {"index": n} for n, call in enumerate(answer)]}
        )
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1}}
        chunks = [
            {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]},
            {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]},
            {"choices": [], "usage": usage},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        return StreamingResponse(iter(lines), media_type="text/event-stream")


def called(name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


@pytest.fixture
def behind(start_app: Callable[[FastAPI], str], through: Callable[[str], openai.OpenAI]) -> Callable[..., Any]:
    """Return a function that makes an endpoint with these answers and a client of the server before it."""

    def make(*answers: Any) -> tuple[Endpoint, openai.OpenAI]:
        endpoint = Endpoint(*answers)
        return endpoint, through(start_app(endpoint.app))

    return make


def test_a_server_of_ours_answers_behind_another_as_it_does_alone(
    address: str, through: Callable[[str], openai.OpenAI]
) -> None:
    alone = openai.OpenAI(base_url=f"{address}/v1", api_key="any")
    wanted: Any = {"model": "small", "messages": ASKED, "reasoning_effort": "high"}
    one, other = (client.chat.completions.create(**wanted) for client in (alone, through(address)))
    assert one.choices[0].message.content == other.choices[0].message.content
    assert one.choices[0].message.reasoning_content == other.choices[0].message.reasoning_content  # ty: ignore
    assert one.usage is not None and other.usage is not None
    assert one.usage.completion_tokens == other.usage.completion_tokens


def test_agents_are_briefed_and_their_conclusions_are_merged(behind: Callable[..., Any]) -> None:
    endpoint, client = behind("5*2", "2*5", "5+5", "the answer is 5*2")
    said = client.chat.completions.create(model="small", messages=ASKED, extra_body={"contemplate": {"agents": 3}})
    assert said.choices[0].message.content == "the answer is 5*2"
    assert said.usage.completion_tokens == 12
    briefs = [str(asked["messages"][-1]["content"]) for asked in endpoint.asked[:3]]
    assert len(set(briefs)) == 3
    pooled = str(endpoint.asked[3]["messages"])
    assert all(found in pooled for found in ("1: 5*2", "1: 2*5", "1: 5+5"))


def test_a_tool_is_run_here_and_its_result_is_sent_back(behind: Callable[..., Any]) -> None:
    endpoint, client = behind([called("calculator", expression="6*7")], "42")
    said = client.chat.completions.create(model="small", messages=ASKED, extra_body={"actions": ["calculator"]})
    assert said.choices[0].message.content == "42"
    assert said.choices[0].finish_reason == "stop"
    assert [tool["function"]["name"] for tool in endpoint.asked[0]["tools"]] == ["calculator"]
    assert endpoint.asked[1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_calculator", "content": "42"}


def test_code_is_run_here_and_told_as_the_code_interpreters(behind: Callable[..., Any]) -> None:
    endpoint, client = behind([called("python", code="print(6*7)")], "it is 42")
    tools: Any = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    with client.responses.stream(model="small", input="What is 6*7?", tools=tools) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_response()
    assert [item.type for item in whole.output] == ["reasoning", "code_interpreter_call", "reasoning", "message"]
    code = whole.output[1]
    assert (code.code, code.status, code.outputs[0].logs.strip()) == ("print(6*7)", "completed", "42")
    assert whole.output_text == "it is 42"
    about_code = [kind.removeprefix("response.code_interpreter_call") for kind in kinds if "interpreter" in kind]
    assert about_code == [".in_progress", "_code.delta", "_code.done", ".interpreting", ".completed"]
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 4
    assert endpoint.asked[1]["messages"][-1]["role"] == "tool"


def test_every_piece_of_code_has_its_own_output(behind: Callable[..., Any]) -> None:
    calls = [called("python", code="print(6*7)"), called("python", code="print(2+2)") | {"id": "another"}]
    _, client = behind(calls, "both")
    tools: Any = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    whole = client.responses.create(model="small", input="What are they?", tools=tools)
    ran = [item for item in whole.output if item.type == "code_interpreter_call"]
    assert [(item.code, item.outputs[0].logs.strip()) for item in ran] == [("print(6*7)", "42"), ("print(2+2)", "4")]
    assert {item.status for item in ran} == {"completed"}


def test_what_runs_after_code_is_not_its_output(behind: Callable[..., Any]) -> None:
    calls = [called("python", code="print(6*7)"), called("calculator", expression="1+1")]
    _, client = behind(calls, "both")
    asked: Any = {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}
    extra = {"actions": ["python", "calculator"]}
    whole = client.responses.create(model="small", input="What are they?", **asked, extra_body=extra)
    (ran,) = [item for item in whole.output if item.type == "code_interpreter_call"]
    assert ran.outputs[0].logs.strip() == "42"


def test_how_tokens_are_drawn_is_passed_on(behind: Callable[..., Any]) -> None:
    endpoint, client = behind("5*2")
    drawn = {"top_k": 3, "min_p": 0.1}
    client.chat.completions.create(model="small", messages=ASKED, temperature=1.0, top_p=0.9, extra_body=drawn)
    assert {name: endpoint.asked[0][name] for name in (*drawn, "top_p")} == drawn | {"top_p": 0.9}


def test_a_call_that_is_cut_off_has_no_input(start_app: Callable[[FastAPI], str], start: Callable[..., str]) -> None:
    cut = called("get_weather") | {"function": {"name": "get_weather", "arguments": '{"city": "Par'}}
    service = RemoteService(f"{start_app(Endpoint([cut]).app)}/v1", "small", "secret")
    tool = {"name": "get_weather", "input_schema": {"type": "object"}}
    asked = {"model": "small", "max_tokens": 9, "messages": ASKED, "tools": [tool]}
    said = httpx.post(f"{start(service)}/v1/messages", json=asked, timeout=60)
    service.close()
    assert said.status_code == 200
    assert [block["input"] for block in said.json()["content"] if block["type"] == "tool_use"] == [{}]


def test_an_endpoint_that_fails_in_the_middle_ends_the_stream_with_what_it_says(
    start_app: Callable[[FastAPI], str], through: Callable[[str], openai.OpenAI]
) -> None:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def answer() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for word in ("one", " two"):
                yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word}}]})}\n\n"
            yield f"data: {json.dumps({'error': {'message': 'out of memory'}})}\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    client = through(start_app(app))
    said = ""
    with pytest.raises(openai.APIError, match="out of memory"):
        for chunk in client.chat.completions.create(model="small", messages=ASKED, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said == "one two"


def test_a_mark_on_a_picture_is_drawn_and_shown(behind: Callable[..., Any]) -> None:
    endpoint, client = behind([called("mark", at=[1, 1], label="A")], "there")
    content = [{"type": "image_url", "image_url": {"url": PIXEL}}, {"type": "text", "text": "Where?"}]
    more = {"actions": ["canvas"], "visual_thoughts": True}
    said = client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": content}], extra_body=more
    )
    kinds = [part["type"] for part in said.choices[0].message.reasoning_parts]
    assert kinds == ["text", "action", "image_url", "text"]
    assert endpoint.asked[1]["messages"][-1]["content"][0]["type"] == "image_url"


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_results_go_to_the_calls_that_they_name_and_pictures_come_after_them(
    behind: Callable[..., Any], order: str
) -> None:
    endpoint, client = behind("seen")
    calls = [called("f") | {"id": "a"}, called("g") | {"id": "b"}]
    picture = {"type": "image_url", "image_url": {"url": PIXEL}}
    contents = {"a": [{"type": "text", "text": "A said"}, picture], "b": "B said"}
    results = [{"role": "tool", "tool_call_id": name, "content": contents[name]} for name in order]
    client.chat.completions.create(
        model="small", messages=[*ASKED, {"role": "assistant", "tool_calls": calls}, *results]
    )
    _, turn, *rest = endpoint.asked[0]["messages"]
    ids = [call["id"] for call in turn["tool_calls"]]
    assert [call["function"]["name"] for call in turn["tool_calls"]] == ["f", "g"]
    assert [(said["role"], said.get("tool_call_id")) for said in rest] == [
        ("tool", ids[0]), ("tool", ids[1]), ("user", None),
    ]  # fmt: skip
    assert [said["content"] for said in rest[:2]] == ["A said", "B said"]
    assert [part["type"] for part in rest[2]["content"]] == ["image_url"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no such city", "error: no such city"),
        ([{"type": "text", "text": "no such city"}], "error: no such city"),
        (None, "error:"),
    ],
)
def test_a_tool_that_failed_says_so(
    start_app: Callable[[FastAPI], str], start: Callable[..., str], content: Any, said: str
) -> None:
    endpoint = Endpoint("a pity")
    service = RemoteService(f"{start_app(endpoint.app)}/v1", "small", "secret")
    used = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": content}
    turns = [*ASKED, {"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    asked = {"model": "small", "max_tokens": 9, "messages": turns}
    assert httpx.post(f"{start(service)}/v1/messages", json=asked, timeout=60).status_code == 200
    service.close()
    assert endpoint.asked[0]["messages"][-1]["content"] == said


def test_a_call_that_nothing_came_of_has_a_result_all_the_same(behind: Callable[..., Any]) -> None:
    endpoint, client = behind("so be it")
    calls = [called("f") | {"id": "a"}, called("g") | {"id": "b"}]
    empty = {"role": "tool", "tool_call_id": "a", "content": ""}
    words = {"role": "tool", "tool_call_id": "b", "content": "B said"}
    client.chat.completions.create(
        model="small", messages=[*ASKED, {"role": "assistant", "tool_calls": calls}, empty, words]
    )
    assert [said["content"] for said in endpoint.asked[0]["messages"][2:]] == ["no result", "B said"]


def test_pictures_of_our_own_actions_come_after_all_results_of_the_turn(behind: Callable[..., Any]) -> None:
    calls = [called("mark", at=[1, 1], label="A"), called("mark", at=[1, 1], label="B") | {"id": "another"}]
    endpoint, client = behind(calls, "there")
    content = [{"type": "image_url", "image_url": {"url": PIXEL}}, {"type": "text", "text": "Where?"}]
    client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": content}], extra_body={"actions": ["canvas"]}
    )
    *_, one, other, pictures = endpoint.asked[1]["messages"]
    assert [one["tool_call_id"], other["tool_call_id"]] == ["call_mark", "another"]
    assert [part["type"] for part in pictures["content"]] == ["image_url", "image_url"]


def test_functions_of_the_client_are_left_to_it(behind: Callable[..., Any]) -> None:
    endpoint, client = behind([called("f", a=1), called("f", a=2)])
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    said = client.chat.completions.create(model="small", messages=ASKED, tools=[tool])
    assert said.choices[0].finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in said.choices[0].message.tool_calls] == [{"a": 1}, {"a": 2}]
    assert len(endpoint.asked) == 1


def streaming(*lines: str) -> FastAPI:
    """Return an endpoint that answers whatever it is asked with these lines."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def answer() -> StreamingResponse:
        return StreamingResponse(iter([f"{line}\n\n" for line in lines]), media_type="text/event-stream")

    return app


def chunk(finish: str | None = None, **more: Any) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': 'a'}, 'finish_reason': finish}]} | more)}"


def test_running_totals_of_usage_count_once(
    start_app: Callable[[FastAPI], str], through: Callable[[str], openai.OpenAI]
) -> None:
    totals = [{"usage": {"prompt_tokens": 7, "completion_tokens": written}} for written in (1, 2, 3)]
    lines = [chunk(**totals[0]), chunk(**totals[1]), chunk("stop", **totals[2]), "data: [DONE]"]
    said = through(start_app(streaming(*lines))).chat.completions.create(model="small", messages=ASKED)
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (7, 3)


def test_every_turns_usage_counts(behind: Callable[..., Any]) -> None:
    _, client = behind([called("calculator", expression="6*7")], "42")
    said = client.chat.completions.create(model="small", messages=ASKED, extra_body={"actions": ["calculator"]})
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (14, 6)


def test_what_the_endpoint_refuses_is_said(behind: Callable[..., Any]) -> None:
    _, client = behind(429)
    with pytest.raises(openai.RateLimitError, match="no more for you"):
        client.chat.completions.create(model="small", messages=ASKED)
    _, client = behind(401)  # the key is the server's, not the client's
    with pytest.raises(openai.InternalServerError, match="no more for you"):
        client.chat.completions.create(model="small", messages=ASKED)


def test_an_endpoint_that_is_not_there_is_named(through: Callable[[str], openai.OpenAI]) -> None:
    with pytest.raises(openai.InternalServerError, match=r"http://127.0.0.1:9/v1 cannot be reached"):
        through("http://127.0.0.1:9").chat.completions.create(model="small", messages=ASKED)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([chunk()], "broke off before the answer was complete"),
        ([], "broke off before the answer was complete"),
        ([chunk(), "data: not json"], "answers what is not understood: Expecting value"),
        ([chunk(), "data: 3"], "answers what is not understood"),
        ([chunk(choices=[3])], "answers what is not understood"),
        ([chunk(choices=[{"delta": 3}])], "answers what is not understood"),
    ],
)
def test_an_answer_that_breaks_off_or_is_not_understood_is_no_answer(
    start_app: Callable[[FastAPI], str], through: Callable[[str], openai.OpenAI], lines: list[str], said: str
) -> None:
    client = through(start_app(streaming(*lines)))
    with pytest.raises(openai.InternalServerError, match=said) as caught:
        client.chat.completions.create(model="small", messages=ASKED)
    assert caught.value.status_code == 502


@pytest.mark.parametrize("lines", [[chunk("stop")], [chunk(), "data: [DONE]"], [chunk(error=None), "data: [DONE]"]])
def test_an_answer_ends_with_its_reason_or_with_the_stream(
    start_app: Callable[[FastAPI], str], through: Callable[[str], openai.OpenAI], lines: list[str]
) -> None:
    said = through(start_app(streaming(*lines))).chat.completions.create(model="small", messages=ASKED)
    assert said.choices[0].message.content == "a"


def test_a_connection_that_is_lost_in_the_middle_is_no_endpoint_that_cannot_be_reached(
    through: Callable[[str], openai.OpenAI],
) -> None:
    begun = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(begun + f"{chunk()}\n\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(openai.InternalServerError, match="broke off"):
            client = through(f"http://127.0.0.1:{server.getsockname()[1]}")
            client.chat.completions.create(model="small", messages=ASKED)
        thread.join()


def test_the_key_of_the_endpoint_is_sent_to_it_alone(behind: Callable[..., Any]) -> None:
    endpoint, client = behind("a")
    said = httpx.post(
        f"{client.base_url}chat/completions", json={"model": "small", "messages": ASKED}, headers={"x-api-key": "mine"}
    )
    assert endpoint.keys == ["Bearer secret"]
    assert "secret" not in said.text + str(said.headers)
