"""Commands that answer with a model: ask, chat, serve."""

import json as jsonlib
import os
from pathlib import Path
from typing import Annotated, Literal

import tyro

from castalia.errors import CastaliaError
from castalia.shipped import find_run, is_run
from castalia.tasks.effort import Effort


def ask(
    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[RUN] [QUESTION]")] = (),
    /,
    image: tuple[Path, ...] = (),
    speech: tuple[Path, ...] = (),
    effort: Effort = "medium",
    contemplate: int = 0,
    actions: tuple[str, ...] | None = None,
    show: Literal["answer", "thoughts"] = "answer",
    canvases: Path = Path("canvases"),
    seconds: float | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Ask a model a question, about pictures and sounds if you like.

    $ castalia ask "Make 24 from 2, 3, 4."
    $ castalia ask "Which is largest?" --image chart.png
    $ castalia ask "What is said?" --speech words.ogg
    $ castalia ask "Make 24 from 2, 3, 4." --effort high --contemplate 8 --show thoughts
    $ castalia ask runs/pocket "Make 24 from 2, 3, 4." --actions agents --show thoughts

    Args:
        words: a run (default: the model that comes with the package), and the question, if it is not spoken or in the
            picture.
        image: picture files.
        speech: sound files.
        effort: how much thought it may take.
        contemplate: how many agents think about it, and one more merges what they find.
        actions: what it may do: canvas, tools, agents (that it sends out itself), single actions, those of plugins
            (default: canvas and tools, where it has learned to act).
        show: print the answer alone, or thoughts as they come; agents stand side by side.
        canvases: where thoughts that are shown keep what they draw, as PNG.
        seconds: when there must be an answer.
        max_tokens: longest reply (default: what the effort allows).
        temperature: 0 takes the likeliest tokens (default: 0, and 0.5 where several agents think).
        seed: seed of the draw where temperature is above 0.
        json: print thoughts, answer, log-probability, tokens, seconds and every reply as one line of JSON.
    """
    from castalia.assistant import Assistant, as_prompt
    from castalia.console import console
    from castalia.reasoning.effort import Thinking
    from castalia.watching import watching

    run, question = _asked(words)
    if not (question or image or speech):
        raise CastaliaError("ask something: a question, --image or --speech")
    assistant, prompt = (
        Assistant.load(find_run(run), actions),
        as_prompt(question, image=list(image), speech=list(speech)),
    )
    thinking = Thinking(effort, assistant.actions, seconds, max_tokens)
    if show == "thoughts" and not json:
        with watching(assistant.engine, console, canvases, contemplate) as watch:
            verdict = assistant.answer(prompt, assistant.strategy(thinking, contemplate, temperature, watch), seed)
        if contemplate > 1:
            console.print(verdict.answer, markup=False, highlight=False, soft_wrap=True)
        return
    verdict = assistant.answer(prompt, assistant.strategy(thinking, contemplate, temperature), seed)
    if not json:
        console.print(verdict.answer, markup=False, highlight=False, soft_wrap=True)
        return
    replies = [
        {"thoughts": r.thoughts, "answer": r.answer, "logprob": sum(r.logprobs), "stopped": r.stopped}
        for r in verdict.replies
    ]
    cost = {"tokens": verdict.tokens, "seconds": round(verdict.seconds, 3)}
    print(jsonlib.dumps(replies[-1] | {"answer": verdict.answer} | cost | {"replies": replies}))


def _asked(words: tuple[str, ...]) -> tuple[str | None, str]:
    """Return the run that is named, if any, and the question. Raises CastaliaError for more words than these two."""
    if len(words) > 2:
        raise CastaliaError(f"ask one question, in quotation marks: {' '.join(words)!r}")
    if len(words) == 2:
        return words[0], words[1]
    if words and is_run(words[0]):
        return words[0], ""
    return None, "".join(words)


def chat(
    run: tyro.conf.Positional[str | None] = None,
    /,
    effort: Effort = "medium",
    contemplate: int = 0,
    actions: tuple[str, ...] | None = None,
    canvases: Path = Path("canvases"),
) -> None:
    """Talk with a model. Pictures and sounds are given by their files; the conversation is kept.

    $ castalia chat
    $ castalia chat runs/pocket --effort high

    Args:
        run: run directory (default: the model that comes with the package).
        effort: how much thought an answer may take.
        contemplate: how many agents think about every answer.
        actions: what it may do, as for `castalia ask`.
        canvases: where thoughts keep what they draw, as PNG.
    """
    from castalia.assistant import Assistant
    from castalia.chat import converse

    converse(Assistant.load(find_run(run), actions), effort, contemplate, canvases)


def serve(
    run: tyro.conf.Positional[str | None] = None,
    /,
    host: str = "127.0.0.1",
    port: int = 8000,
    backend: str | None = None,
    model: str | None = None,
    backend_key: str = "CASTALIA_BACKEND_KEY",
    open_urls: bool = False,
    database: str | None = None,
) -> None:
    """Serve a model: an API that OpenAI's and Anthropic's clients just use, and the app.

    $ castalia serve
    $ castalia serve runs/pocket
    $ castalia serve --backend http://127.0.0.1:8080/v1 --model smollm2

    On this machine alone no key is needed; for others make one first (castalia keys create NAME).

    Args:
        run: run directory, or a model that comes with the package (default: the one that does).
        host: address to listen at; 0.0.0.0 is all of this machine's.
        port: port to listen at; 0 takes a free one.
        backend: serve the model behind this OpenAI-compatible endpoint (…/v1) instead of a run.
        model: name that clients know the model by; that of the backend's model.
        backend_key: environment variable that holds the backend's key.
        open_urls: open pictures behind public web addresses that clients send.
        database: where keys, usage and responses are kept (default: as for castalia keys).
    """
    try:
        from castalia.serve import server
    except ModuleNotFoundError as error:
        raise CastaliaError(f"serving needs {error.name}: pip install 'castalia[serve]'") from error
    if backend and run:
        raise CastaliaError("serve a run or a --backend, not both")
    directory = None
    if backend:
        service = server.remote_service(backend, model, os.environ.get(backend_key))
    else:
        directory = find_run(run)
        service = server.local_service(directory, model)
    server.serve(service, host, port, database, open_urls=open_urls, run=directory)
