"""`/v1/audio/transcriptions`, as OpenAI's clients use it: a sound in, what is said in it out."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from castalia.document import Document, Part, Speech
from castalia.perception.speech import load_speech
from castalia.serve.api.answering import Answer, answered
from castalia.serve.api.asking import Temperature, logprob_content, sampling
from castalia.serve.database import Database
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Job, Update
from castalia.serve.service.pieces import Done, Words
from castalia.serve.wire import dumped

router = APIRouter()
QUESTION = "Write down what is said."
"""What is asked where no prompt says otherwise."""
Format = Literal["json", "text", "verbose_json", "srt", "vtt"]


@router.post("/v1/audio/transcriptions")
async def create(
    request: Request,
    file: Annotated[UploadFile, File()],
    model: Annotated[str, Form()],
    prompt: Annotated[str, Form(description="another question about the sound")] = "",
    language: Annotated[str | None, Form(description="taken, and not needed")] = None,
    response_format: Annotated[Format, Form()] = "json",
    temperature: Annotated[Temperature, Form()] = 0.0,
    stream: Annotated[bool, Form()] = False,
    include: Annotated[list[str] | None, Form(alias="include[]")] = None,
) -> Response:
    """Write down what is said in a sound."""
    if known := set(await request.form()) - NAMES:
        name = min(known)
        raise ApiError(f"unknown parameter {name[:80]!r}", 400, "unknown_parameter", name[:80])
    data, name = await file.read(), file.filename or "the sound"
    body = Sound(model, data, name, prompt or QUESTION, temperature, "logprobs" in (include or ()))
    answer = Transcription(body, response_format)
    return await answered(request, body, answer, stream=stream, frame=lambda event: f"data: {dumped(event)}\n\n")


NAMES = {
    "file", "model", "prompt", "language", "response_format", "temperature", "stream", "include[]", "chunking_strategy",
}  # fmt: skip


@dataclass
class Sound:
    """A sound, and what is asked about it."""

    model: str
    data: bytes
    name: str
    question: str
    temperature: float
    logprobs: bool
    seconds: float = 0.0

    async def conversation(self, database: Database, key: int | None) -> list[dict[str, Any]]:
        """Return nothing: nothing has been said before."""
        return []

    def job(self, messages: list[dict[str, Any]]) -> Job:
        """Return what is asked. Raises SpeechError if the sound cannot be read."""
        speech: Speech = load_speech(self.data, name=self.name)
        self.seconds = round(speech.seconds, 3)
        prompt = Document((Part(speech, "user"), Part(self.question, "user")))
        return Job(prompt, sampling=sampling(self.temperature, None, None, None), actions=(), logprobs=self.logprobs)


class Transcription(Answer):
    """What is said, as far as it is written down."""

    def __init__(self, sound: Sound, format: Format) -> None:
        super().__init__()
        self.sound, self.format = sound, format

    def take(self, update: Update) -> list[dict[str, Any]]:
        """Take in one update; return the events that tell of it."""
        piece = update.piece
        self.choice.add(piece)
        if isinstance(piece, Done):
            self.done.append(piece)
        is_answer = isinstance(piece, Words) and piece.kind == "answer"
        return [{"type": "transcript.text.delta", "delta": piece.text}] if is_answer else []

    def whole(self) -> dict[str, Any] | str:
        """Return the transcript in the form that is wanted; nothing is known of when a word was said."""
        text, seconds = self.choice.answer, self.sound.seconds
        if self.format == "text":
            return text + "\n"
        if self.format in ("srt", "vtt"):
            stop = f"{int(seconds // 3600):02}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}"
            times = f"00:00:00.000 --> {stop}"
            return f"1\n{times.replace('.', ',')}\n{text}\n" if self.format == "srt" else f"WEBVTT\n\n{times}\n{text}\n"
        whole: dict[str, Any] = {"text": text}
        if self.format == "verbose_json":
            segment = {"id": 0, "start": 0.0, "end": seconds, "text": text}
            whole |= {"task": "transcribe", "language": "unknown", "duration": seconds, "segments": [segment]}
        return whole | self._more()

    def end(self) -> list[dict[str, Any]]:
        """Return the event that has the whole transcript."""
        return [{"type": "transcript.text.done", "text": self.choice.answer} | self._more()]

    def _more(self) -> dict[str, Any]:
        usage = self.usage
        counts = {"input_tokens": usage.prompt, "output_tokens": usage.completion}
        details = {"text_tokens": 0, "audio_tokens": usage.prompt}
        more: dict[str, Any] = {
            "usage": {"type": "tokens", **counts, "total_tokens": sum(counts.values()), "input_token_details": details}
        }
        if self.sound.logprobs:
            kept = logprob_content(self.choice.tokens)
            more["logprobs"] = [{name: token[name] for name in ("token", "logprob", "bytes")} for token in kept]
        return more
