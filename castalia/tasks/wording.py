"""Asking in other words: synonyms, ways to begin and to end, and how people type; some only in held-out questions."""

import random
import re
from dataclasses import replace

from castalia.document import Document, Part
from castalia.tasks.task import Split

SYNONYMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    r"\bWhat is the\b": (
        ("What's the", "Tell me the", "Give me the", "Name the", "I want the", "Find the"),
        ("Could you give the", "Find me the"),
    ),
    r"\bWhat is\b": (
        ("What's", "Say what is", "Tell me what is", "Find", "Get me", "Determine"),
        ("Work out", "Any idea what is"),
    ),
    r"\bHow many\b": (("What number of", "Count how many", "Just how many"), ("Tally how many", "Exactly how many")),
    r"\bHow much\b": (("Just how much", "Say how much", "In all, how much"), ("Exactly how much",)),
    r"\bWhich\b": (("Which one", "What", "Say which", "Decide which"), ("Tell us which",)),
    r"\bIs there\b": (("Is there really", "Say, is there", "Can there be"), ("Would there be",)),
    r"\bIs the\b": (("Would you say the", "Say, is the", "Can it be that the"), ("Do you think the",)),
    r"\bAdd\b": (("Sum", "Please add", "Take the sum of"), ("Sum up",)),
    r"\bCount\b": (("Count up", "Please count", "Give the number of", "Go and count"), ("Tally",)),
    r"\bRead\b": (("Read out", "Please read", "Say"), ("Read aloud",)),
    r"\b(Make|Reach)\b": (("Get", "Build", "Form", "Try to make"), ("Produce", "Arrive at")),
    r"\bNumber\b|\bnumber\b": (("count", "amount"), ("quantity",)),
    r"\blargest\b": (("biggest", "greatest", "highest"), ("very largest",)),
    r"\bsmallest\b": (("lowest", "least", "tiniest"), ("very smallest",)),
    r"\blarger\b": (("bigger", "greater", "more"), ("clearly larger",)),
    r"\bsmaller\b": (("lower", "less"), ("clearly smaller",)),
    r"\bshortest way\b": (("shortest path", "quickest way", "best way"), ("shortest route", "fastest way")),
    r"\bdigits\b": (("numerals", "numbers"), ("figures",)),
    r"\bpicture\b": (("image", "photo"), ("drawing",)),
    r"\bsum\b": (("total", "result of adding"), ("grand sum",)),
    r"\bsteps\b": (("moves", "single steps"), ("paces",)),
    r"\bthings\b": (("objects", "shapes"), ("items",)),
    r"\bsaid\b": (("spoken", "being said"), ("uttered",)),
    r"\bWrite down\b": (("Note", "Type", "Put down"), ("Jot down",)),
}
"""What can stand for what, as regular expressions: in training and held-out questions, and in the latter only."""

OPENINGS = (
    (
        "Please:", "Tell me:", "Hello!", "Hi,", "OK,", "Well,", "Now,", "So,", "Look:", "Can you tell me:", "Question:",
        "Good day,", "Hmm,", "Right,", "Listen:", "Next:", "Another one:", "One more:", "Here is one:", "Try this:",
        "First of all,", "Then,", "Once more:", "To begin with,", "Just tell me:", "Let me ask you:", "Sorry,", "Oh,",
        "I have a question.", "I need help.", "I do not understand this.", "I would like to know:", "Do you know this?",
        "We want to know:", "Somebody here wants to know:", "Help me with this:", "Would you mind?", "May I ask:",
        "{name},", "{name}:", "Hello {name}!", "Dear {name},", "This is for {name}.", "{name} wants to know:",
        "For my {who}:", "My {who} wants to know:", "This is from my {who}.", "My {who} and I have a bet.", "Go on,",
    ),
    ("Excuse me,", "Quick one:", "I was wondering:", "My friend asks:", "Hey there,", "Could you help?"),
)  # fmt: skip
CLOSINGS = (
    (
        "Thanks.", "Please.", "Thank you!", "Be careful.", "What do you say?", "Answer me.", "Thanks a lot!", "Thx",
        "Thank you so much.", "I need it.", "It matters.", "I forgot.", "I do not know.", "I am in a hurry.", "Right?",
        "I cannot see it.", "Think first.", "Quickly!", "Now.", "Do you know?", "Can you say?", "Can you see?", "OK?",
        "Is it hard?", "It should be easy.", "Just the answer.", "No more than that.", "Well?", "Go!", "Say it.",
        "Tell me.", "We have a bet.", "Good luck!", "And be honest.", "It is for my {who}.", "My {who} asked.",
        "{name} asked.", "{name} does not know.", "Says {name}.", "Thanks, {name}!", "Will you, {name}?",
    ),
    ("Cheers!", "I am curious.", "Much obliged.", "If you can.", "Take your time."),
)  # fmt: skip
"""How a question may begin and end: in training and held-out questions, and in the latter only. Names are made up, so
that there is always something in them that was never read before and does not matter.
"""
WHO = (
    "sister", "brother", "teacher", "class", "boss", "neighbour", "daughter", "son", "grandmother", "team", "uncle",
    "doctor", "children", "colleagues", "friends",
)  # fmt: skip
"""Who may want to know."""


def reworded(text: str, rng: random.Random, split: Split = "train") -> str:
    """Return `text` asked otherwise; held-out splits always have something in it that training never has.

    What is asked about after a colon stays as it is: an answer may have to be one of its words.
    """
    fresh = split != "train"
    asked, colon, options = text.partition(": ")
    fits = [(pattern, words[fresh]) for pattern, words in SYNONYMS.items() if re.search(pattern, asked)]
    rng.shuffle(fits)
    for pattern, words in fits[: rng.choice((0, 1, 1, 2))]:
        asked = re.sub(pattern, rng.choice(words), asked, count=1)
    begins, ends = rng.choice(((True, False), (False, True))) if fresh else (rng.random() < 0.4, rng.random() < 0.2)
    if rng.random() < 0.2:
        asked, options = asked if options else asked.rstrip("?."), options.rstrip("?.")
    if begins:
        asked = f"{_named(rng.choice(OPENINGS[fresh]), rng)} {asked}"
    closing = f" {_named(rng.choice(CLOSINGS[fresh]), rng)}" if ends else ""
    if options:
        return f"{_as_typed(asked, rng)}{colon}{options}{closing}"
    return _as_typed(asked + closing, rng)


def reword(document: Document, rng: random.Random, split: Split = "train") -> Document:
    """Return `document` with all that the user writes asked otherwise."""

    def other(part: Part) -> Part:
        return replace(part, content=reworded(str(part.content), rng, split)) if _is_question(part) else part

    return Document(tuple(map(other, document)))


def restated(document: Document, context: int = 0) -> Document:
    """Return a trace in which every question after its `context` (parts) stands once more, as the first thought of who
    answers it.

    To be asked in other words, or by voice, after this: then thinking begins with what is wanted, in plain words, and
    what follows is as if it had been asked so.
    """
    parts = [*document.parts[:context]]
    question: str | None = None
    for part in document.parts[context:]:
        if _is_question(part):
            question = question or str(part.content)
        elif question and part.author == "assistant":
            parts.append(Part(f"{question}\n", "assistant", learned=True, thought=True))
            question = None
        parts.append(part)
    return Document(tuple(parts))


def _is_question(part: Part) -> bool:
    return part.author == "user" and not part.learned and isinstance(part.content, str)


def _named(text: str, rng: random.Random) -> str:
    """Return `text` with who is named in it."""
    if "{" not in text:
        return text
    name = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.choice((1, 2, 2, 3))))
    return text.format(who=rng.choice(WHO), name=name.capitalize())


def _as_typed(text: str, rng: random.Random) -> str:
    """Return `text` in one case now and then, or with one of its longer words misspelled."""
    drawn = rng.random()
    if drawn < 0.15:
        return text.lower()
    if drawn < 0.18:
        return text.upper()
    words = list(re.finditer(r"\b[a-z]{5,}\b", text))
    if drawn > 0.3 or not words:
        return text
    start, end = rng.choice(words).span()
    place = rng.randrange(start + 1, end - 1)
    swapped = text[place + 1] + text[place]
    return text[:place] + rng.choice((swapped, text[place + 1], text[place] + swapped[::-1])) + text[place + 2 :]
