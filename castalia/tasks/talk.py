"""Talk: greetings, what the model is, and above all saying so where it cannot know or do what it is asked."""

import random

from castalia.document import Document
from castalia.tasks.charts import Charts
from castalia.tasks.mazes import Mazes
from castalia.tasks.scenes import Scenes
from castalia.tasks.task import Example, Question, Score, Split, Task, generator, held_out, score_exact, trace

UNABLE = "I cannot tell."
"""What is said to whatever is beyond the model, and to questions about what is not there."""
ABOUT = "I am Castalia, a small model. I read pictures, speech and numbers."
GREETING = "Hello! Ask me about a picture, speech or numbers."
FAREWELL = "Goodbye!"

SMALL_TALK: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "greeting": (
        GREETING,
        (
            "Hello.", "Hi!", "Hello there!", "Good morning.", "Good evening!", "Hey.", "Hi there.", "hello", "Hello!",
            "hi", "hey", "Hello Castalia.", "Good day.", "Hi, how are you?", "Welcome!",
        ),
        ("Hey there.", "Good afternoon.", "Hello again.", "Hi Castalia!"),
    ),
    "farewell": (
        FAREWELL,
        (
            "Goodbye.", "Bye!", "See you!", "Thanks, bye.", "Good night.", "That is all, thanks.", "bye", "Bye bye.",
            "Goodbye, and thanks.", "I must go.",
        ),
        ("Goodbye then.", "See you soon!", "That is all.", "Bye, good night."),
    ),
    "about": (
        ABOUT,
        (
            "Who are you?", "What are you?", "What can you do?", "What is your name?", "Help!", "What do you know?",
            "How can you help me?", "Are you a person?", "Introduce yourself.", "What is Castalia?", "who are you",
            "Are you a model?", "What do you do?", "What can I ask you?",
        ),
        ("What can you do for me?", "Do you have a name?", "Help me.", "Are you Castalia?"),
    ),
}  # fmt: skip
"""What is answered, how it is asked in training, and how in held-out questions."""


PEOPLE = (
    "the king", "Einstein", "Mozart", "Ada Lovelace", "the president", "Picasso", "Cleopatra", "Newton", "Shakespeare",
    "Marie Curie", "Napoleon", "my sister", "the mayor", "Beethoven", "Darwin", "the pope", "Homer", "Gandhi", "Bach",
)  # fmt: skip
PLACES = (
    "France", "Lima", "Tokyo", "Kenya", "Brazil", "the moon", "Berlin", "Canada", "Norway", "Cairo", "Texas", "India",
    "Peru", "Mars", "Rome", "Chile", "Oslo", "the city", "Spain", "Nepal", "Cuba", "Egypt", "London", "Ghana",
)  # fmt: skip
THINGS = (
    "love", "the sea", "a dog", "physics", "music", "bread", "football", "my car", "a computer", "the law", "winter",
    "the stock market", "a poem", "history", "cheese", "philosophy", "the internet", "gold", "time", "a horse", "milk",
    "quantum theory", "chess", "a tree", "the weather", "tea", "a novel", "the sun", "rice", "money", "democracy",
)  # fmt: skip
TONGUES = ("French", "German", "Latin", "Spanish", "Chinese", "Greek", "Welsh", "Hindi", "Polish", "Turkish")

BEYOND: tuple[tuple[str, ...], tuple[str, ...]] = (
    (
        "What is the capital of {place}?", "Who wrote about {thing}?", "When was {person} born?", "Where is {place}?",
        "What is the weather in {place}?", "Write a story about {thing}.", "How do I make {thing}?",
        "Who was {person}?",
        "Translate {thing} into {tongue}.", "Explain {thing} to me.", "Why is there {thing}?", "Is {person} alive?",
        "How old is {person}?", "What does {person} think of {thing}?", "How far is it to {place}?",
        "What is {thing} in {tongue}?", "Tell me a joke about {thing}.", "Who won in {place}?", "What is {thing}?",
        "How many people live in {place}?", "Do you like {thing}?", "Write a poem about {person}.",
        "Sing about {thing}.",
        "What will {thing} cost next year?", "Which language do they speak in {place}?", "What time is it in {place}?",
        "Book a flight to {place}.", "Send a letter to {person}.", "Summarise {thing}.",
        "Did {person} live in {place}?",
    ),
    (
        "Who discovered {thing}?", "What happened in {place} in 1900?", "Give me a recipe with {thing}.",
        "Is it safe to travel to {place}?", "What should I say to {person}?", "Describe the history of {thing}.",
        "What did {person} invent?", "Draw me a map of {place}.", "How is {thing} produced?",
    ),
)  # fmt: skip
"""What is beyond the model: asked in training and held-out questions, and only ``out_of_range``."""

FOREIGN: dict[str, tuple[str, ...]] = {
    "charts": ("read", "compare", "sum", "difference"),
    "scenes": ("colour", "shape", "side", "which side", "between"),
    "mazes": ("reach", "length", "way", "first"),
}
"""Kinds of questions, by family, that mean nothing where there is another family's picture, or none."""


class Talk:
    """What people say that is no task: greetings, questions about the model, and what is beyond it.

    From difficulty 1 on there are greetings, questions about the model and about the world; from 2 on questions about a
    picture that is not there; from 3 on questions that do not fit the picture there is. Held out is what is asked, or
    where there is a picture, what is shown. ``out_of_range`` asks in sentences that training never has.
    """

    name = "talk"

    def __init__(self) -> None:
        """Open the families whose pictures and questions are mixed up."""
        self._seen: dict[str, Task] = {"charts": Charts(), "scenes": Scenes(), "mazes": Mazes()}

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the example of this seed: one question."""
        rng = generator(self.name, seed, difficulty, split)
        kind = rng.choice(("small talk", "world", "missing", "foreign")[: 1 + min(3, difficulty)])
        if kind == "small talk" and split != "out_of_range":
            which = rng.choice([*SMALL_TALK])
            answer, *sides = SMALL_TALK[which]
            context, question = Document(), Question(rng.choice(sides[split == "held_out"]), answer, which)
        elif kind in ("missing", "foreign"):
            context, question = self._misplaced(kind, rng, split)
        else:
            context, question = Document(), _beyond(rng, split)
        return Example(self.name, seed, difficulty, split, context, (question,))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Accept the very words; case and a full stop do not matter."""
        return score_exact(example.questions[index], reply)

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return what is asked, and what there is to say."""
        return trace(example, acting=acting)

    def _misplaced(self, kind: str, rng: random.Random, split: Split) -> tuple[Document, Question]:
        """Return a question of one family, with nothing to be seen or with the picture of another family."""
        family = rng.choice([*FOREIGN])
        asked: list[str] = []
        while not asked:
            example = self._seen[family].sample(rng.randrange(10**9), rng.randint(1, 3), split)
            asked = [
                question.text
                for question in example.questions
                if question.kind in FOREIGN[family]
                and (kind == "foreign" or split == "out_of_range" or held_out(question.text) == (split == "held_out"))
            ]
        other = self._seen[rng.choice([name for name in FOREIGN if name != family])]
        shown = (
            other.sample(rng.randrange(10**9), rng.randint(1, 3), split).context if kind == "foreign" else Document()
        )
        return shown, Question(rng.choice(asked), UNABLE, kind)


def _beyond(rng: random.Random, split: Split) -> Question:
    while True:
        named = {"place": PLACES, "person": PEOPLE, "thing": THINGS, "tongue": TONGUES}
        words = {name: rng.choice(of) for name, of in named.items()}
        text = rng.choice(BEYOND[split == "out_of_range"]).format(**words)
        if split == "out_of_range" or held_out(text) == (split == "held_out"):
            return Question(text, UNABLE, "world")
