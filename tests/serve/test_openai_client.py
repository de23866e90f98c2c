"""What OpenAI's own client, unmodified, does with a server of ours over a real socket."""

import base64
import io
import json
import wave
from typing import Annotated, Any

import numpy as np
import openai
import pytest
from PIL import Image as pillow
from pydantic import BaseModel, Field

from castalia.serve.api.responses_request import messages_of

QUESTION = "Make 10 from 2, 5."
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "description": "of a city", "parameters": CITY}}
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
LONG: Any = [{"role": "user", "content": "a b " * 90_000}]


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)


def picture(width: int = 64) -> str:
    file = io.BytesIO()
    pillow.new("RGB", (width, 48), "white").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def sound(seconds: float = 0.5) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        tone = 8000 * np.sin(np.arange(int(16_000 * seconds)) / 10)
        out.writeframes(tone.astype("<i2").tobytes())
    return file.getvalue()


def test_models_are_listed_and_described(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").owned_by == "castalia"
    with pytest.raises(openai.NotFoundError, match="did you mean 'small'"):
        client.models.retrieve("smal")


def test_a_stream_says_what_a_whole_answer_says(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="small", messages=ASKED, reasoning_effort="high")
    message: Any = whole.choices[0].message
    stream = client.chat.completions.create(
        model="small", messages=ASKED, reasoning_effort="high", stream=True, stream_options={"include_usage": True}
    )
    deltas, usage, finish = [], None, None
    for chunk in stream:
        usage = chunk.usage or usage
        deltas += [choice.delta.model_dump() for choice in chunk.choices]
        finish = next((choice.finish_reason for choice in chunk.choices if choice.finish_reason), finish)
    assert "".join(delta["content"] or "" for delta in deltas) == message.content
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == message.reasoning_content
    assert message.reasoning == message.reasoning_content != ""
    assert finish == whole.choices[0].finish_reason == "stop"
    assert usage is not None and whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert whole.usage.completion_tokens_details is not None
    assert 0 < (whole.usage.completion_tokens_details.reasoning_tokens or 0) < usage.completion_tokens
    assert usage.prompt_tokens_details is not None  # asked a second time, the prompt is in the cache
    assert (usage.prompt_tokens_details.cached_tokens or 0) > 0


def test_without_effort_nothing_is_thought(client: openai.OpenAI) -> None:
    answered = client.chat.completions.create(model="small", messages=ASKED, reasoning_effort="none")
    assert not hasattr(answered.choices[0].message, "reasoning_content")


def test_the_same_seed_gives_the_same_choices_and_another_seed_others(client: openai.OpenAI) -> None:
    def drawn(seed: int) -> list[str | None]:
        answered = client.chat.completions.create(model="small", messages=ASKED, n=4, temperature=1.5, seed=seed)
        return [choice.message.content for choice in answered.choices]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 1


def test_where_only_the_likeliest_tokens_are_left_all_choices_are_the_same(client: openai.OpenAI) -> None:
    drawn: dict[str, Any] = {"model": "small", "messages": ASKED, "n": 4, "temperature": 1.5}
    for few in ({"top_p": 0.001}, {"extra_body": {"top_k": 1}}, {"extra_body": {"min_p": 1.0}}):
        answered = client.chat.completions.create(**drawn, **few)
        assert len({choice.message.content for choice in answered.choices}) == 1


def test_logprobs_spell_the_answer_and_the_likeliest_comes_first(client: openai.OpenAI) -> None:
    answered = client.chat.completions.create(model="small", messages=ASKED, logprobs=True, top_logprobs=3)
    said = answered.choices[0]
    assert said.logprobs is not None and said.logprobs.content
    assert "".join(token.token for token in said.logprobs.content).strip() == said.message.content
    for token in said.logprobs.content:
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == max(other.logprob for other in token.top_logprobs)
        assert token.logprob <= token.top_logprobs[0].logprob + 1e-6


def test_an_answer_ends_before_a_stop_text_also_in_a_stream(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="small", messages=ASKED).choices[0].message.content or ""
    assert len(whole) > 1
    cut: Any = {"model": "small", "messages": ASKED, "stop": [whole[-1]]}
    assert client.chat.completions.create(**cut).choices[0].message.content == whole.partition(whole[-1])[0]
    pieces = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**cut, stream=True)]
    assert "".join(pieces) == whole.partition(whole[-1])[0]


def test_an_answer_that_is_too_long_is_cut_and_says_so(client: openai.OpenAI) -> None:
    answered = client.chat.completions.create(model="small", messages=ASKED, max_completion_tokens=3)
    assert answered.choices[0].finish_reason == "length"
    assert answered.usage is not None and answered.usage.completion_tokens == 3


def test_pictures_and_sounds_are_part_of_the_prompt(client: openai.OpenAI) -> None:
    def positions(*parts: Any) -> int:
        content = [{"type": "text", "text": QUESTION}, *parts]
        said = client.chat.completions.create(model="small", messages=[{"role": "user", "content": content}])
        assert said.usage is not None
        return said.usage.prompt_tokens

    spoken = {"type": "input_audio", "input_audio": {"data": base64.b64encode(sound()).decode(), "format": "wav"}}
    shown = {"type": "image_url", "image_url": {"url": picture()}}
    assert positions() < positions(shown) < positions(shown, spoken)


def test_a_function_is_called_and_fed_back(client: openai.OpenAI) -> None:
    for choice in ("required", NAMED):
        asked: Any = {"model": "small", "messages": ASKED, "tools": [WEATHER], "tool_choice": choice}
        said = client.chat.completions.create(**asked, parallel_tool_calls=False).choices[0]
        assert said.finish_reason == "tool_calls" and said.message.tool_calls
        (call,) = said.message.tool_calls
        assert call.type == "function" and call.function.name == "get_weather"
        assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        again = client.chat.completions.create(
            model="small", messages=[*ASKED, said.message.model_dump(exclude_none=True), result], tools=[WEATHER]
        )
        assert again.choices[0].finish_reason in ("stop", "length", "tool_calls")
    never = client.chat.completions.create(model="small", messages=ASKED, tools=[WEATHER], tool_choice="none")
    assert never.choices[0].message.tool_calls is None


def test_calls_side_by_side_stream_each_with_its_number(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="small", messages=ASKED, tools=[WEATHER], tool_choice="required", temperature=1.0, stream=True
    )
    calls: dict[int, list[str]] = {}
    finish = None
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            calls.setdefault(call.index, []).append(call.function.arguments or "")
        finish = chunk.choices[0].finish_reason or finish
    assert finish == "tool_calls"
    assert list(calls) == list(range(len(calls)))
    for arguments in calls.values():
        assert json.loads("".join(arguments))["city"] in ("Paris", "Rome")


class Point(BaseModel):
    x: Annotated[int, Field(ge=0, le=99)]
    y: Annotated[int, Field(ge=0, le=99)]


def test_an_answer_satisfies_its_schema_in_both_apis(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="small", messages=ASKED, response_format=Point)
    assert isinstance(parsed.choices[0].message.parsed, Point)
    assert isinstance(client.responses.parse(model="small", input=QUESTION, text_format=Point).output_parsed, Point)
    anything = client.chat.completions.create(
        model="small", messages=ASKED, response_format={"type": "json_object"}, max_completion_tokens=900
    )
    if anything.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(anything.choices[0].message.content or ""), dict)


def test_contemplating_tells_of_every_agent_and_ends_in_one_answer(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="small", messages=ASKED, stream=True, extra_body={"contemplate": {"agents": 3, "deadline": 30}}
    )
    agents, answer = [], ""
    for chunk in stream:
        delta = chunk.choices[0].delta
        agents += [delta.agent] if hasattr(delta, "agent") else []
        answer += delta.content or ""
    assert {event["agent"] for event in agents if event["round"] == 0} == {0, 1, 2}
    concluded = [event["answer"] for event in agents if event["type"] == "done"]
    assert len(concluded) >= 3
    assert answer in concluded
    whole = client.chat.completions.create(model="small", messages=ASKED, extra_body={"contemplate": {"agents": 3}})
    assert whole.choices[0].message.content == answer


def test_a_streamed_response_tells_of_every_agent(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"contemplate": {"agents": 2}}
    events: list[Any] = list(client.responses.create(model="small", input=QUESTION, stream=True, extra_body=asked))
    agents = [event.agent for event in events if event.type == "response.agent"]
    assert {agent["agent"] for agent in agents if agent["round"] == 0 and agent["type"] == "done"} == {0, 1}
    assert events[-1].type == "response.completed"


def test_contemplating_goes_with_a_format_that_is_text(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"contemplate": {"agents": 2}, "response_format": {"type": "text"}}
    assert client.chat.completions.create(model="small", messages=ASKED, extra_body=asked).choices[0].message.content


def test_a_response_is_kept_continued_and_deleted(client: openai.OpenAI) -> None:
    first = client.responses.create(model="small", input=QUESTION, instructions="Be brief.")
    assert first.status == "completed" and first.output_text
    assert [item.type for item in first.output] == ["reasoning", "message"]
    assert client.responses.retrieve(first.id).output_text == first.output_text
    (asked,) = client.responses.input_items.list(first.id).data
    assert asked.content[0].text == QUESTION  # ty: ignore[possibly-missing-attribute]
    second = client.responses.create(model="small", input="Make 12 from 2, 6.", previous_response_id=first.id)
    alone = client.responses.create(model="small", input="Make 12 from 2, 6.", store=False)
    assert second.usage is not None and alone.usage is not None
    assert second.usage.input_tokens > alone.usage.input_tokens
    client.responses.delete(first.id)
    for gone in (first.id, alone.id):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone)
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.create(model="small", input=QUESTION, previous_response_id=first.id)


def test_reasoning_that_clients_keep_can_be_sent_back(client: openai.OpenAI) -> None:
    asked: Any = {"role": "user", "content": QUESTION}
    first = client.responses.create(
        model="small", input=[asked], store=False, include=["reasoning.encrypted_content"], reasoning={"effort": "high"}
    )
    (reasoning,) = [item for item in first.output if item.type == "reasoning"]
    assert reasoning.encrypted_content
    kept = [item.model_dump(exclude_none=True) for item in first.output]
    sealed = [item | {"content": []} if item["type"] == "reasoning" else item for item in kept]

    def positions(items: list[Any]) -> int:
        history: Any = [asked, *items, {"role": "user", "content": "And now?"}]
        again = client.responses.create(model="small", input=history, store=False)
        assert again.usage is not None
        return again.usage.input_tokens

    assert positions(kept) == positions(sealed) > positions([item for item in kept if item["type"] != "reasoning"])
    sealed[0]["encrypted_content"] = "somebody else's"
    with pytest.raises(openai.BadRequestError, match="not one of ours"):
        positions(sealed)


def test_thoughts_of_a_turn_that_was_cut_off_are_no_later_turns() -> None:
    def thought(text: str) -> dict[str, Any]:
        return {"type": "reasoning", "content": [{"type": "reasoning_text", "text": text}]}

    user, assistant = {"role": "user", "content": "a"}, {"role": "assistant", "content": "x"}
    cut = messages_of([user, thought("old"), user, assistant])
    assert "old" not in str(cut) and [message["role"] for message in cut] == ["user", "user", "assistant"]
    *_, said = messages_of([user, thought("old"), user, thought("new"), thought("er"), assistant])
    assert said["reasoning_content"] == "new er"


def test_a_response_streams_items_in_order(client: openai.OpenAI) -> None:
    with client.responses.stream(model="small", input=QUESTION, reasoning={"effort": "high"}) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert kinds.index("response.reasoning_text.delta") < kinds.index("response.output_text.delta")
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == final.output_text != ""


def test_a_function_call_is_an_item_of_a_response_and_its_output_goes_on_from_it(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
    called = client.responses.create(
        model="small", input=QUESTION, tools=[tool], tool_choice="required", parallel_tool_calls=False
    )
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    again = client.responses.create(model="small", input=[output], previous_response_id=called.id)
    assert again.status in ("completed", "incomplete")


def test_a_sound_is_written_down(client: openai.OpenAI) -> None:
    said: Any = client.audio.transcriptions.create(model="small", file=("a.wav", sound()))
    assert isinstance(said.text, str) and said.usage.input_tokens > 0
    plain = client.audio.transcriptions.create(model="small", file=("a.wav", sound()), response_format="text")
    assert str(plain).strip() == said.text
    events = list(client.audio.transcriptions.create(model="small", file=("a.wav", sound()), stream=True))
    assert events[-1].type == "transcript.text.done" and events[-1].text == said.text
    verbose: Any = client.audio.transcriptions.create(
        model="small", file=("a.wav", sound(0.5)), response_format="verbose_json"
    )
    assert verbose.duration == pytest.approx(0.5, abs=0.01)
    with pytest.raises(openai.BadRequestError, match="sound"):
        client.audio.transcriptions.create(model="small", file=("a.wav", b"no sound at all"))


def shown(url: str) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


WRONG: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "an unknown parameter": ({"tempurature": 1}, 400, "unknown parameter 'tempurature'", "tempurature"),
    "a model that is not there": ({"model": "smal"}, 404, "did you mean 'small'", "model"),
    "a temperature out of range": ({"temperature": 3}, 400, "temperature", "temperature"),
    "a role that does not exist": ({"messages": [{"role": "usr", "content": "a"}]}, 400, "did you mean 'user'", None),
    "no message": ({"messages": []}, 400, "messages", "messages"),
    "a web address": (
        {"messages": shown("http://a/b.png")}, 400, "data: address", None,
    ),
    "a picture that is none": (
        {"messages": shown("data:a;base64,AAAA")}, 400, "message 1: part 1", None,
    ),
    "a prompt that is too long": ({"messages": LONG}, 400, "does not fit", None),
    "a schema that is none": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nothing"}}}},
        400, "schema", None,
    ),
    "a tool that is not there": ({"tool_choice": NAMED}, 400, "'get_weather'", "tool_choice"),
    "an action that is not there": ({"actions": ["canvass"]}, 400, "did you mean 'canvas'", None),
    "contemplating with tools": ({"tools": [WEATHER], "contemplate": {"agents": 2}}, 400, "contemplate", None),
    "contemplating until a text": ({"stop": ["a"], "contemplate": {"agents": 2}}, 400, "without tools", None),
    "contemplating with logprobs": ({"logprobs": True, "contemplate": {"agents": 2}}, 400, "logprobs", None),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(client: openai.OpenAI, wrong: str) -> None:
    changed, status, sentence, param = WRONG[wrong]
    body = {"model": "small", "messages": ASKED} | changed
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/chat/completions", body=body, cast_to=dict[str, Any])
    error = caught.value
    assert error.status_code == status
    assert isinstance(error.body, dict)
    assert sentence in error.body["message"] and "\n" not in error.body["message"]
    assert error.body["param"] == param or param is None
    assert error.request_id is not None


def test_what_is_wrong_with_an_item_is_said_with_its_place(client: openai.OpenAI) -> None:
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}
    items: Any = [thought, {"role": "usr", "content": "a"}]
    before = client.responses.create(model="small", input=QUESTION)
    for more in ({"instructions": "Be brief."}, {"previous_response_id": before.id}):
        with pytest.raises(openai.BadRequestError, match=r"input\[1\]: unknown role 'usr'"):
            client.responses.create(model="small", input=items, extra_body=more)


def test_what_is_wrong_with_a_stream_is_an_error_and_not_a_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="small", messages=LONG, stream=True)
    assert caught.value.code == "context_length_exceeded"
