"""OpenAI messages become documents; a stranger's request opens nothing."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from castalia.data.messages import parse_messages
from castalia.document import Call, Image, Part, Speech
from castalia.errors import DocumentError

Make = Callable[..., bytes]


def data_url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def user(*content: object) -> list:
    return [{"role": "user", "content": list(content)}]


def test_a_whole_conversation_keeps_its_order_authors_and_what_is_learned(png: Make, wav: Make) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    document = parse_messages(
        [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what?"},
                {"type": "image_url", "image_url": {"url": data_url(png(), "image/png")}},
                {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav()).decode(), "format": "wav"}},
            ]},
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "2"},
            {"role": "assistant", "content": "two"},
        ]
    )  # fmt: skip
    system, text, image, speech, *rest = document
    assert (system, text) == (Part("be brief", "system"), Part("what?", "user"))
    assert isinstance(image.content, Image) and image.content.pixels_HWC.shape == (3, 5, 3) and not image.learned
    assert isinstance(speech.content, Speech) and speech.content.seconds == pytest.approx(0.5)
    assert rest == [
        Part("hm", "assistant", learned=True, thought=True),
        Part(Call("add", '{"a": 1}'), "assistant", learned=True),
        Part("2", "tool"),
        Part("two", "assistant", learned=True),
    ]


def test_weight_zero_is_not_learned() -> None:
    messages = [{"role": "assistant", "content": "no", "weight": 0}, {"role": "assistant", "content": "yes"}]
    assert [part.learned for part in parse_messages(messages)] == [False, True]


def test_files_and_web_addresses_are_read_where_allowed(tmp_path: Path, web, png: Make, wav: Make) -> None:
    address, pages = web
    (tmp_path / "my picture.png").write_bytes(png())
    pages["/a.wav"] = wav()
    document = parse_messages(
        user(
            {"type": "image_url", "image_url": {"url": "my picture.png"}},
            {"type": "image_url", "image_url": {"url": (tmp_path / "my picture.png").as_uri()}},
            {"type": "audio_url", "audio_url": {"url": f"{address}/a.wav", "synthetic": True}},
        ),
        tmp_path,
        open_urls=True,
    )
    assert [type(part.content) for part in document] == [Image, Image, Speech]
    assert document.parts[2].content.synthetic


@pytest.mark.parametrize("address", ["/etc/hostname", "picture.png", "file:///etc/hostname", "../x.png"])
def test_without_a_base_no_file_is_opened(address: str) -> None:
    with pytest.raises(DocumentError, match="message 1: part 1: files are not opened"):
        parse_messages(user({"type": "image_url", "image_url": {"url": address}}))


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_web_addresses_are_not_opened_unless_allowed(web, scheme: str) -> None:
    address, pages = web
    asked = []
    pages["/a.png"] = lambda handler: asked.append(1)
    with pytest.raises(DocumentError, match="web addresses are not opened"):
        parse_messages(user({"type": "image_url", "image_url": {"url": address.replace("http", scheme) + "/a.png"}}))
    assert not asked


@pytest.mark.parametrize(
    ("messages", "cause"),
    [
        ("hello", "must be a list"),
        ([], "at least one"),
        (["hello"], "message 1: a message is an object"),
        ([{"role": "usr", "content": "x"}], "message 1: unknown role 'usr': did you mean 'user'"),
        ([{"role": "user", "content": ""}], "empty"),
        ([{"role": "user", "content": 3}], "text or a list"),
        (user("x"), "part 1: a part is an object"),
        (user({"type": "image_ulr"}), "unknown part type 'image_ulr': did you mean 'image_url'"),
        (user({"type": ["text"]}), "unknown part type"),
        (user({"type": "text", "text": 1}), "text must be a string"),
        (user({"type": "text"}), "must have a field 'text'"),
        (user({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}), "part 2: .* url"),
        (user({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}), "base64"),
        (user({"type": "image_url", "image_url": {"url": "data:image/png;base64,a"}}), "not base64"),
        (user({"type": "image_url", "image_url": {"url": data_url(b"junk", "image/png")}}), "not a picture"),
        (user({"type": "input_audio", "input_audio": {"data": "anVuaw==", "format": "wav"}}), "not a sound"),
        (user({"type": "input_audio", "input_audio": "x"}), "input_audio must be"),
        ([{"role": "assistant", "tool_calls": [{"function": {}}]}], "function with a name"),
        (
            [{"role": "assistant", "tool_calls": {}, "content": "x"}, {"role": "assistant", "tool_calls": 3}],
            "message 2",
        ),
        ([{"role": "assistant", "reasoning": 3}], "reasoning must be text"),
        ([{"role": "user", "content": "half \ud800"}], "half a character"),
        (user({"type": "image_url", "image_url": {"url": "http://["}}), "web addresses are not opened"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(messages: object, cause: str) -> None:
    with pytest.raises(DocumentError, match=cause):
        parse_messages(messages)


def called(name: str, call_id: str | None = None) -> dict:
    return {"role": "assistant", "tool_calls": [{"id": call_id, "function": {"name": name}}]}


def result(text: str, call_id: str | None = None) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([result("B", "b"), result("A", "a")], "A B"),
        ([result("A", "a"), result("B", "b")], "A B"),
        ([result("first"), result("second")], "first second"),
        ([result("B", "b"), result("rest")], "rest B"),
        ([result("B", "b"), {"role": "user", "content": "and?"}, result("A", "a")], "B and? A"),
    ],
)
def test_results_stand_in_the_order_of_the_calls_that_they_name(results: list, said: str) -> None:
    document = parse_messages([called("f", "a"), called("g", "b"), *results])
    assert document.text() == said


def test_results_of_calls_without_ids_stay_in_order() -> None:
    document = parse_messages([called("f"), called("g"), result("1", "y"), result("2", "x")])
    assert [part.call for part in document] == [0, 1, 0, 1]


@pytest.mark.parametrize("results", [[result("A", "c")], [result("A", "a"), result("again", "a")]])
def test_a_result_of_a_call_that_does_not_wait_for_one_is_refused(results: list) -> None:
    with pytest.raises(DocumentError, match=r'message \d: there is no call "[ac]" that waits for a result'):
        parse_messages([called("f", "a"), *results])
