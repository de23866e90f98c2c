"""What Anthropic's own client, unmodified, does with a server of ours over a real socket."""

import json
from typing import Any

import anthropic
import httpx
import pytest

QUESTION = "Make 10 from 2, 5."
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
CITY: Any = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {"name": "get_weather", "description": "of a city", "input_schema": CITY}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def client(address: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=address, api_key="any", max_retries=0)


def test_a_stream_says_what_a_whole_message_says(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "small", "max_tokens": 300, "messages": ASKED, "thinking": THINKING}
    whole = client.messages.create(**asked)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert whole.stop_reason == "end_turn"
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert [block.model_dump(exclude={"parsed_output"}) for block in streamed.content] == [
        block.model_dump() for block in whole.content
    ]
    assert streamed.usage.output_tokens == whole.usage.output_tokens > 0
    assert (streamed.usage.cache_read_input_tokens or 0) > 0  # the prompt was read before


def test_thoughts_are_shown_only_where_they_are_wanted(client: anthropic.Anthropic) -> None:
    for thinking in ({"type": "disabled"}, {"type": "adaptive", "display": "omitted"}):
        said = client.messages.create(model="small", max_tokens=300, messages=ASKED, thinking=thinking)  # ty: ignore[no-matching-overload]
        assert [block.type for block in said.content] == ["text"]


def test_thinking_that_is_switched_off_stays_off_at_any_effort(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "small", "max_tokens": 300, "messages": ASKED, "thinking": {"type": "disabled"}}
    alone, at_high = (client.messages.create(**asked, **more) for more in ({}, {"output_config": {"effort": "high"}}))
    assert alone.usage.output_tokens == at_high.usage.output_tokens


def test_the_likeliest_token_alone_is_drawn_where_one_is_wanted(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "small", "max_tokens": 300, "messages": ASKED}
    few: Any = {"temperature": 1.0, "top_k": 1}
    greedy, drawn = client.messages.create(**asked), client.messages.create(**asked, extra_body=few)
    assert drawn.content[0].text == greedy.content[0].text  # ty: ignore[possibly-missing-attribute]


def test_a_stream_tells_of_agents_that_contemplate(address: str) -> None:
    asked = {"model": "small", "max_tokens": 300, "messages": ASKED, "stream": True, "contemplate": {"agents": 2}}
    said = httpx.post(f"{address}/v1/messages", json=asked, timeout=60).text
    events = [json.loads(line.removeprefix("data: ")) for line in said.splitlines() if line.startswith("data: ")]
    agents = [event["agent"] for event in events if event["type"] == "agent"]
    assert {agent["agent"] for agent in agents if agent["type"] == "done" and agent["round"] == 0} == {0, 1}
    assert events[-1]["type"] == "message_stop"


def test_a_tool_is_used_and_its_result_and_the_thoughts_go_back(client: anthropic.Anthropic) -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
        asked: Any = {"model": "small", "max_tokens": 600, "tools": [WEATHER], "thinking": THINKING}
        choice |= {"disable_parallel_tool_use": True}
        said = client.messages.create(**asked, messages=ASKED, tool_choice=choice)
        (used,) = [block for block in said.content if block.type == "tool_use"]
        assert said.stop_reason == "tool_use"
        assert used.input["city"] in ("Paris", "Rome")
        result = {"type": "tool_result", "tool_use_id": used.id, "content": [{"type": "text", "text": "sunny"}]}
        turns = [*ASKED, {"role": "assistant", "content": said.content}, {"role": "user", "content": [result]}]
        assert client.messages.create(**asked, messages=turns).usage.input_tokens > 0


def test_tool_input_streams_as_json(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="small", max_tokens=600, messages=ASKED, tools=[WEATHER], tool_choice={"type": "any"}
    ) as stream:
        final = stream.get_final_message()
    used = [block for block in final.content if block.type == "tool_use"]
    assert used and all(block.input["city"] in ("Paris", "Rome") for block in used)


def test_pictures_and_systems_are_counted_before_they_are_sent(client: anthropic.Anthropic) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    shown: Any = [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]}
    ]
    plain = client.messages.count_tokens(model="small", messages=ASKED)
    more = client.messages.count_tokens(model="small", messages=shown, system="Be brief.")
    assert more.input_tokens > plain.input_tokens
    said = client.messages.create(model="small", max_tokens=50, messages=shown, system="Be brief.")
    read = said.usage.input_tokens + (said.usage.cache_read_input_tokens or 0)
    assert read == more.input_tokens


def test_a_message_ends_at_its_limit_or_at_a_stop_sequence(client: anthropic.Anthropic) -> None:
    off: Any = {"type": "disabled"}
    cut = client.messages.create(model="small", max_tokens=1, messages=ASKED, thinking=off)
    assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 1
    whole: Any = client.messages.create(model="small", max_tokens=100, messages=ASKED, thinking=off).content[0]
    stops = ["~", whole.text[-1], "^^"]
    said = client.messages.create(model="small", max_tokens=100, messages=ASKED, thinking=off, stop_sequences=stops)
    assert said.stop_reason == "stop_sequence" and said.stop_sequence == stops[1]


def test_what_is_wrong_is_said_in_the_shape_of_this_api(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="smal", max_tokens=9, messages=ASKED)
    assert isinstance(missing.value.body, dict) and missing.value.body["type"] == "error"
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="unknown parameter 'foo'"):
        client.messages.create(model="small", max_tokens=9, messages=ASKED, extra_body={"foo": 1})
    with pytest.raises(anthropic.BadRequestError, match="text or a list of blocks"):
        result: Any = {"type": "tool_result", "tool_use_id": "a", "content": 5}
        client.messages.create(model="small", max_tokens=9, messages=[{"role": "user", "content": [result]}])
    with pytest.raises(anthropic.BadRequestError, match="blocks of type 'video'"):
        block: Any = {"type": "video"}
        client.messages.create(model="small", max_tokens=9, messages=[{"role": "user", "content": [block]}])


def test_what_is_wrong_is_said_with_its_place_in_what_was_sent(client: anthropic.Anthropic) -> None:
    broken = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "a"}}
    shown: Any = [{"role": "user", "content": [{"type": "text", "text": QUESTION}, broken]}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]\.content\[1\]: .*not base64"):
        client.messages.create(model="small", max_tokens=9, messages=shown, system="Be brief.")
    result: Any = {"type": "tool_result", "tool_use_id": "a", "content": "sunny"}
    turns: Any = [*ASKED, {"role": "user", "content": [result]}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[1\]\.content\[0\]: there is no call \"a\""):
        client.messages.create(model="small", max_tokens=9, messages=turns, system="Be brief.")
