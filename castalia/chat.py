"""Conversation in the terminal: lines in, thoughts and answers out; pictures and sounds by the names of their files."""

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import cast

from rich.prompt import Prompt

from castalia.assistant import Assistant, as_prompt
from castalia.console import console
from castalia.document import Document, Part
from castalia.errors import CastaliaError
from castalia.reasoning.contemplate import MOST_AGENTS
from castalia.reasoning.effort import Thinking
from castalia.tasks.effort import Effort
from castalia.watching import watching

HELP = """/image FILE    show a picture with the next question
/speech FILE   let a sound be heard with the next question
/effort NAME   none, minimal, low, medium or high
/contemplate N let N agents think about every answer; 0 is one chain of thought
/new           begin afresh
/quit          end (so does Ctrl-D)"""


def converse(assistant: Assistant, effort: Effort, contemplate: int, canvases: Path) -> None:
    """Answer line by line until the input ends; what goes wrong is said, and the conversation goes on."""
    thinking = Thinking(effort, assistant.actions)
    assistant.strategy(thinking, contemplate)  # that nobody finds out only when asking that it cannot be
    said, shown = Document(), Document()
    console.print("ask something; /help lists what else there is", style="dim")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # else the lines after one that is not UTF-8 are lost with it
    while True:
        try:
            line = (Prompt.ask("[bold]you[/]", console=console) if sys.stdin.isatty() else input()).strip()
        except (EOFError, KeyboardInterrupt):
            return
        if any("\udc80" <= sign <= "\udcff" for sign in line):
            console.print("that line is not UTF-8: it was left out", style="red")
            continue
        command, _, argument = line.partition(" ")
        try:
            if command in ("/quit", "/exit"):
                return
            if command == "/help":
                console.print(HELP, markup=False, highlight=False)
            elif command == "/new":
                said = shown = Document()
            elif command in ("/image", "/speech"):
                shown += as_prompt(**{command[1:]: argument.strip()})
            elif command == "/effort":
                thinking = Thinking(cast(Effort, argument.strip()), assistant.actions)
            elif command == "/contemplate":
                if not argument.strip().isdecimal():
                    raise CastaliaError(f"/contemplate takes a number from 0 to {MOST_AGENTS}")
                assistant.strategy(thinking, int(argument))
                contemplate = int(argument)
            elif command.startswith("/"):
                raise CastaliaError(f"there is no {command}: /help lists what there is")
            elif line or len(shown):
                prompt = said + shown + (as_prompt(line) if line else Document())
                said, shown = prompt + _answered(assistant, prompt, thinking, contemplate, canvases), Document()
        except CastaliaError as error:
            console.print(str(error), style="red", markup=False, highlight=False)


def _answered(assistant: Assistant, prompt: Document, thinking: Thinking, contemplate: int, canvases: Path) -> Document:
    """Show how the answer comes about; return what is kept of it. Ctrl-C stops the answer, not the conversation."""
    try:
        with watching(assistant.engine, console, canvases, contemplate) as watch:
            verdict = assistant.answer(prompt, assistant.strategy(thinking, contemplate, watch=watch))
    except KeyboardInterrupt:
        console.print("\nstopped", style="dim")
        return Document((Part("", "assistant"),))
    if contemplate > 1:
        console.print(verdict.answer, markup=False, highlight=False, soft_wrap=True)
        return Document((Part(verdict.answer, "assistant"),))
    document = verdict.replies[0].document
    is_ended = len(document) and document.parts[-1].author == "assistant"
    return document if is_ended else document + Document((Part("", "assistant"),))
