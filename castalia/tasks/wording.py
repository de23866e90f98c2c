"""Asking in other words: synonyms, ways to begin and to end, and how people type; some only in held-out questions."""

import random
import re
from dataclasses import replace

from castalia.document import Document, Part
from castalia.tasks.task import Split

SYNONYMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    r"\bWhat is the\b": (
        ("What's the", "Tell me the", "Give me the", "Name the"),
        ("Could you give the", "Find me the"),
    ),
    r"\bWhat is\b": (("What's", "Say what is", "Tell me what is"), ("Work out", "Any idea what is")),
    r"\bHow many\b": (("What number of", "Count how many", "Just how many"), ("Tally how many", "Exactly how many")),
    r"\bHow much\b": (("Just how much", "Say how much"), ("Exactly how much",)),
    r"\bWhich\b": (("Which one", "What", "Say which"), ("Tell us which",)),
    r"\bIs there\b": (("Is there really", "Say, is there"), ("Would there be",)),
    r"\bIs the\b": (("Would you say the", "Say, is the"), ("Do you think the",)),
    r"\bAdd\b": (("Sum", "Please add", "Take the sum of"), ("Sum up",)),
    r"\bCount\b": (("Count up", "Please count", "Give the number of"), ("Tally",)),
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
    ("Please:", "Tell me:", "Hello!", "Hi,", "OK,", "Well,", "Now,", "So,", "Look:", "Can you tell me:", "Question:"),
    ("Excuse me,", "Quick one:", "I was wondering:", "My friend asks:", "Hey there,", "Could you help?"),
)
CLOSINGS = (
    ("Thanks.", "Please.", "Thank you!", "Be careful.", "What do you say?", "Answer me."),
    ("Cheers!", "I am curious.", "Much obliged.", "If you can.", "Take your time."),
)
"""How a question may begin and end: in training and held-out questions, and in the latter only."""


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
        asked = f"{rng.choice(OPENINGS[fresh])} {asked}"
    closing = f" {rng.choice(CLOSINGS[fresh])}" if ends else ""
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
