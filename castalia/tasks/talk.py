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
            "hi", "hey", "Hello Castalia.", "Good day.", "Hi, how are you?", "Welcome!", "Greetings!", "How are you?",
            "Morning!", "Hello, my friend.", "How do you do?", "Hey, how is it going?", "Good evening, Castalia.",
            "Nice to meet you.", "Hello, computer.", "Hi everybody.", "I am back.", "Hello, anyone here?", "Hey you.",
            "Good to see you.", "Hi, I am new here.", "Evening.", "Hello and welcome.", "Are you there?", "Howdy!",
        ),
        ("Hey there.", "Good afternoon.", "Hello again.", "Hi Castalia!"),
    ),
    "farewell": (
        FAREWELL,
        (
            "Goodbye.", "Bye!", "See you!", "Thanks, bye.", "Good night.", "That is all, thanks.", "bye", "Bye bye.",
            "Goodbye, and thanks.", "I must go.", "Farewell.", "See you later.", "Until next time.",
            "Goodbye, Castalia.", "I have to leave now.", "Thank you, goodbye.", "Take care.", "So long!",
            "Talk to you later.", "Bye for now.", "I am going home.", "We are done here.", "Sleep well.",
            "See you tomorrow.", "Have a nice day.", "I am off.",
        ),
        ("Goodbye then.", "See you soon!", "That is all.", "Bye, good night."),
    ),
    "about": (
        ABOUT,
        (
            "Who are you?", "What are you?", "What can you do?", "What is your name?", "Help!", "What do you know?",
            "How can you help me?", "Are you a person?", "Introduce yourself.", "What is Castalia?", "who are you",
            "Are you a model?", "What do you do?", "What can I ask you?", "Tell me about yourself.", "Say who you are.",
            "What are you called?", "Who is this?", "Can you help?", "What are you good at?", "Are you a robot?",
            "Who am I talking to?", "Describe yourself.", "What kind of model are you?", "How do you work?",
            "I need help.", "What should I ask?", "Are you human?", "Can you read?", "Are you a machine?",
            "Can you hear me?", "What do you understand?", "Please introduce yourself.", "Which things can you do?",
        ),
        ("What can you do for me?", "Do you have a name?", "Help me.", "Are you Castalia?"),
    ),
}  # fmt: skip
"""What is answered, how it is asked in training, and how in held-out questions."""


PEOPLE = (
    "the king", "Einstein", "Mozart", "Ada Lovelace", "the president", "Picasso", "Cleopatra", "Newton", "Shakespeare",
    "Marie Curie", "Napoleon", "my sister", "the mayor", "Beethoven", "Darwin", "the pope", "Homer", "Gandhi", "Bach",
    "my uncle", "the queen", "Plato", "Galileo", "Jane Austen", "the doctor", "Columbus", "Rembrandt", "our teacher",
    "Tolstoy", "Buddha", "Lincoln", "Chopin", "Archimedes", "the minister", "Virginia Woolf", "Kant", "Turing", "Dante",
    "the captain", "Hannibal", "Confucius", "Nina Simone", "Gauss", "my neighbour", "Vermeer", "Joan of Arc", "Euler",
)  # fmt: skip
PLACES = (
    "France", "Lima", "Tokyo", "Kenya", "Brazil", "the moon", "Berlin", "Canada", "Norway", "Cairo", "Texas", "India",
    "Peru", "Mars", "Rome", "Chile", "Oslo", "the city", "Spain", "Nepal", "Cuba", "Egypt", "London", "Ghana",
    "Portugal", "Vienna", "Japan", "Paris", "Madrid", "Jupiter", "the village", "Athens", "Sweden", "Delhi", "Iceland",
    "Boston", "Morocco", "Quebec", "Dublin", "Vietnam", "the desert", "Hungary", "Zurich", "Bolivia", "Alaska",
    "Prague", "New York", "Finland", "Seoul", "Denmark", "the Alps", "Jamaica", "Venus", "Warsaw", "Uganda", "Lisbon",
    "Sydney",
)  # fmt: skip
THINGS = (
    "love", "the sea", "a dog", "physics", "music", "bread", "football", "my car", "a computer", "the law", "winter",
    "the stock market", "a poem", "history", "cheese", "philosophy", "the internet", "gold", "time", "a horse", "milk",
    "quantum theory", "chess", "a tree", "the weather", "tea", "a novel", "the sun", "rice", "money", "democracy",
    "a bridge", "justice", "coffee", "the brain", "a volcano", "silver", "gravity", "an island", "a camera", "dreams",
    "friendship", "a bicycle", "the ocean", "sugar", "a river", "medicine", "the theatre", "soup", "a whale", "war",
    "electricity", "an apple", "grammar", "the future", "a garden", "magic", "biology", "a violin", "the harvest",
    "ice", "a passport", "religion", "butter", "a hurricane", "jazz", "the election", "a kitchen", "courage",
    "an engine", "salt", "peace", "a castle", "lightning", "the budget", "opera", "a spider", "marriage", "an umbrella",
    "chocolate", "steel",
)  # fmt: skip
TONGUES = (
    "French", "German", "Latin", "Spanish", "Chinese", "Greek", "Welsh", "Hindi", "Polish", "Turkish", "Italian",
    "Dutch", "Arabic", "Russian", "Finnish", "Swahili", "Japanese", "Danish",
)  # fmt: skip

BEYOND: tuple[tuple[str, ...], tuple[str, ...]] = (
    (
        "What is the capital of {place}?", "Who wrote about {thing}?", "When was {person} born?", "Where is {place}?",
        "What is the weather in {place}?", "Write a story about {thing}.", "How do I make {thing}?",
        "Who was {person}?", "Translate {thing} into {tongue}.", "Explain {thing} to me.", "Why is there {thing}?",
        "Is {person} alive?", "How old is {person}?", "What does {person} think of {thing}?",
        "How far is it to {place}?", "What is {thing} in {tongue}?", "Tell me a joke about {thing}.",
        "Who won in {place}?", "What is {thing}?", "How many people live in {place}?", "Do you like {thing}?",
        "Write a poem about {person}.", "Sing about {thing}.", "What will {thing} cost next year?",
        "Which language do they speak in {place}?", "What time is it in {place}?", "Book a flight to {place}.",
        "Send a letter to {person}.", "Summarise {thing}.", "Did {person} live in {place}?", "Who is {person}?",
        "Where can I buy {thing}?", "What colour is {thing}?", "Play some music by {person}.",
        "Is {place} a good place to live?", "Who owns {thing}?", "How do I get to {place}?",
        "What is the best book about {thing}?", "Say {thing} in {tongue}.", "Should I learn {tongue}?",
        "Who is the leader of {place}?", "Why did {person} leave {place}?", "How much is {thing}?",
        "Order {thing} for me.", "What is the history of {place}?", "Can {person} speak {tongue}?",
        "Call {person} for me.", "How does {thing} work?", "Remind me to buy {thing}.", "Where did {person} grow up?",
        "What do people eat in {place}?", "Is {thing} healthy?", "Tell me something about {person}.",
        "Buy me {thing}, please.", "Turn off {thing}.", "What does {thing} mean?", "How many people speak {tongue}?",
        "What is so special about {thing}?", "Was {person} married?",
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
                and (kind == "foreign" or held_out(question.text) == (split != "train"))
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
