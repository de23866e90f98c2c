"""Speech: recorded people say digits, spell words, read prompts; write down what they say and reckon with it."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from string import ascii_lowercase

import numpy as np

from castalia.document import SAMPLE_RATE, Document, Part, Speech
from castalia.errors import TaskError
from castalia.tasks.digits import any_digits, largest, place_question, smallest, spaced
from castalia.tasks.material import Clip
from castalia.tasks.task import Example, Question, Score, Split, generator, held_out, score_exact, trace

HELD_BACK = (
    "asterisk-prompt-it-menardi-wav",
    "asterisk-prompt-fr-armelle",
    "asterisk-prompt-es-co",
    "en_GB",
)
"""Sources and speakers kept for ``out_of_range``: a clip whose source or speaker holds one of these never trains."""

LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}


@dataclass(frozen=True)
class Level:
    """How hard: kinds of sound, how many digits or letters, greatest number, characters to transcribe, languages."""

    kinds: tuple[str, ...]
    fewest: int
    most: int
    languages: tuple[str, ...] = tuple(LANGUAGES)
    characters: int = 0
    number: int = 9


ALL = ("digits", "digits", "spell", "add", "language", "transcribe", "transcribe")
LEVELS = {
    1: Level(("digits", "digits", "digits", "spell"), 2, 2, ("en",)),
    2: Level(("digits", "digits", "digits", "spell", "language"), 3, 3, ("en", "es")),
    3: Level(("digits", "digits", "spell", "add", "language"), 3, 4, ("en", "es", "fr")),
    4: Level(ALL, 4, 4, ("en", "es", "fr", "it"), characters=16),
    5: Level(ALL, 4, 5, characters=24, number=12),
    6: Level(ALL, 5, 5, characters=36, number=20),
    7: Level(ALL, 5, 6, characters=48, number=20),
    8: Level(ALL, 6, 6, characters=64, number=20),
    9: Level(ALL, 6, 7, characters=90, number=20),
    10: Level(ALL, 7, 8, characters=140, number=20),
}
WORDS = """
am an as at be by do go he hi if in is it me my no of on or ox so to up us we
and ant arm ask bag bed bee big box boy bus car cat cow cup day dog dry ear eat egg end eye far fat fig fly fog fox fun
gas hat hen her hot how ice ink jam job key kid lap law leg lip low man map mud net new nut oak odd oil old one out own
pan pen pig pot red row run sad sea see sit six sky son sun tax tea ten top toy two use van war way wet win yes zoo
also area army away baby back ball band bank bath bear bell bird blue boat body book bowl cake call card city coat cold
cook dark desk door down duck east easy face farm fast fire fish five food foot four frog game gate girl give goat gold
good hair half hand hard head help high hill home jump king lake lamp land leaf left lime lion long love milk mind moon
nest nine nose page park path pink play quiz rain rice ring road rock roof room rose salt sand ship shoe shop snow song
star step tail tall tent time town tree very wall warm west wind wing wolf wood work year zero
apple beach black bread brown chair child clock cloud dance dream drink earth eight field first flame fruit glass grass
green happy heart horse house juice knife large lemon light money month mouse music night ocean paper party plant queen
quick quiet river round seven sheep shelf sleep small smile snake sound south spoon stone storm sugar table three tiger
train truck under voice water white world young zebra
animal autumn banana basket bottle branch bridge butter button camera candle carpet castle cheese circle coffee corner
cotton dinner doctor eleven family finger flower forest friend garden guitar hammer island jacket kitten ladder letter
market mirror monkey mother number orange pencil planet pocket potato purple rabbit school silver spider spring square
street summer sunday ticket tomato travel turtle twelve violet window winter yellow
balloon blanket brother chicken country diamond evening feather flowers holiday kitchen library machine morning passage
picture rainbow science seventy sixteen station teacher thunder tuesday village weather
birthday building calendar daughter dinosaur elephant fourteen fountain hospital keyboard language mountain notebook
question sandwich saturday shoulder sunshine thirteen thousand tomorrow triangle umbrella
"""
WORDINGS: dict[str, tuple[str, ...]] = {
    "read": ("Which digits do you hear?", "Write down the digits.", "What is said?"),
    "count": ("How many digits are said?", "How many digits do you hear?"),
    "spell": ("Which word is spelled?", "What word do the letters make?", "Write down the word."),
    "letter": ("What is the {ordinal} letter?", "Which letter is {ordinal}?"),
    "numbers": ("Which numbers do you hear?", "Write down both numbers."),
    "add": ("What is the sum of the numbers?", "Add the two numbers.", "What do the numbers add up to?"),
    "language": ("Which language is this?", "What language do you hear?"),
    "transcribe": ("Write down what is said.", "What is said?", "Transcribe this."),
    "words": ("How many words are said?", "Count the words."),
}
END_LETTERS = {"first": 0, "last": -1}
Made = tuple[list[np.ndarray], list[Question]]
"""Pieces of sound to be joined, and questions about the whole."""

WORDS_APART = 5
"""Of so many words one is held out."""

INVENTED = 0.5
"""Share of the spelled words in training that are letters at random."""

FASTEST = 0.08
"""How much faster or slower training makes a voice, at most."""


@dataclass
class Voice:
    """One speaker of one source: its clips of numbers and of letters, by what they say."""

    language: str
    numbers: dict[int, Clip] = field(default_factory=dict)
    letters: dict[str, Clip] = field(default_factory=dict)


class SpokenPrompts:
    """Recorded human speech: digits in a row, spelled words, two numbers to add, which language, transcription.

    Digits, letters and numbers are clips of one speaker, joined with short gaps; training changes gain and speed, adds
    a little noise, and spells words that are none, too, so that it is the letters that are listened to. Difficulty 1
    says two English digits or spells two letters, 3 up to four in three languages; from 4 on whole prompts are
    transcribed, longer as it grows.

    Splits. Each speaker says each digit and letter on one recording only, so for joined sounds it is what is said that
    is held out: a row of digits, a pair of numbers or a word (by a hash of its label, whatever voice says it) is either
    trained on or examined, never both. Transcribed clips are held out by `Clip.held_out`. ``out_of_range`` has the
    voices of `HELD_BACK`, which never train, with any labels.
    """

    name = "speech"

    def __init__(self, clips: Sequence[Clip]) -> None:
        """Sort `clips` by voice and side; nothing is decoded yet. Raises TaskError if no voice trains."""
        self._voices: dict[bool, list[Voice]] = {False: [], True: []}
        self._prompts: dict[Split, list[Clip]] = {"train": [], "held_out": [], "out_of_range": []}
        by_speaker: dict[tuple[str, str, str], Voice] = {}
        for clip in clips:
            back = any(name in clip.source or name in clip.speaker for name in HELD_BACK)
            speaker = clip.source, clip.speaker, clip.language
            if speaker not in by_speaker:
                by_speaker[speaker] = Voice(clip.language)
                self._voices[back].append(by_speaker[speaker])
            if match := re.fullmatch(r"digits/(\d{1,2})", clip.key):
                by_speaker[speaker].numbers[int(match[1])] = clip
            elif match := re.fullmatch(r"letters/([a-z])", clip.key):
                by_speaker[speaker].letters[match[1]] = clip
            elif len(clip.transcript.strip()) > 1 and not re.search(r"[\[\]<>()\d]", clip.transcript):
                self._prompts["out_of_range" if back else "held_out" if clip.held_out else "train"].append(clip)
        if not self._voices[False]:
            raise TaskError("speech: there are no clips to train on")
        self._words = {
            (length, side): [
                word for word in WORDS.split() if len(word) == length and held_out(f"word {word}", WORDS_APART) == side
            ]
            for length in range(2, 9)
            for side in (False, True)
        }
        letters = Counter("".join(WORDS.split()))
        self._letter_chance = max(letters.values()) / letters.total()
        self._decoded: dict[tuple[str, str], np.ndarray] = {}
        self._able: dict[tuple[str, tuple[str, ...], bool], list[Voice]] = {}

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the sound of this seed and ask one to three questions about it.

        Raises TaskError if the clips given to this family hold nothing for this split and difficulty.
        """
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty]
        kinds = [kind for kind in level.kinds if self._possible(kind, level, split)]
        if not kinds:
            raise TaskError(f"speech: no clips for split {split!r} at difficulty {difficulty}")
        kind = rng.choice(kinds)
        make = {"spell": self._spell, "add": self._add, "transcribe": self._transcribe}.get(kind, self._digits)
        pieces, questions = make(level, split, rng, kind)
        rng.shuffle(questions)
        sound = Speech(_join(pieces, rng, augment=split == "train"))
        return Example(self.name, seed, difficulty, split, Document((Part(sound, "user"),)), tuple(questions))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; spaces and commas between digits do not matter.

        A transcription is worth 1 minus its word error rate (not below 0), without regard to case and punctuation.
        """
        question = example.questions[index]
        if question.kind == "transcribe":
            said, wanted = (re.findall(r"[\w']+", text.lower()) for text in (reply, question.answer))
            errors = _edits(said[: 4 * len(wanted)], wanted)
            value = max(0.0, 1 - errors / max(1, len(wanted)))
            return Score(value, f"{errors} of {len(wanted)} words wrong" if errors else "")
        if question.kind == "read" and re.sub(r"[\s,.]", "", reply) == question.answer.replace(" ", ""):
            return Score(1.0)
        return score_exact(question, reply)

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the sound, the questions, thoughts and answers."""
        return trace(example, acting=acting)

    def _possible(self, kind: str, level: Level, split: Split) -> bool:
        if kind == "transcribe":
            return bool(self._short_prompts(level, split))
        if kind == "language":
            return len({voice.language for voice in self._speakers(kind, level, split)}) > 1
        return bool(self._speakers(kind, level, split))

    def _speakers(self, kind: str, level: Level, split: Split) -> list[Voice]:
        """Return voices that have what `kind` needs: of the level's languages, or where there are none, of any."""
        key = kind, level.languages, split == "out_of_range"
        if key not in self._able:
            able = [
                voice
                for voice in self._voices[split == "out_of_range"]
                if (len(voice.letters) == 26 if kind == "spell" else all(n in voice.numbers for n in range(10)))
                and voice.language in LANGUAGES
            ]
            self._able[key] = [voice for voice in able if voice.language in level.languages] or able
        return self._able[key]

    def _voice(self, kind: str, level: Level, split: Split, rng: random.Random) -> Voice:
        voices = self._speakers(kind, level, split)
        languages = sorted({voice.language for voice in voices})
        # Half of all is English, except where the language is asked for: then it must not be guessed.
        english = "en" in languages and kind != "language" and rng.random() < 0.5
        language = "en" if english else rng.choice(languages)
        return rng.choice([voice for voice in voices if voice.language == language])

    def _short_prompts(self, level: Level, split: Split) -> list[Clip]:
        prompts = self._prompts[split]
        short = [c for c in prompts if len(c.transcript) <= level.characters and c.language in level.languages]
        return short or [clip for clip in prompts if len(clip.transcript) <= level.characters]

    def _digits(self, level: Level, split: Split, rng: random.Random, kind: str) -> Made:
        voice = self._voice(kind, level, split, rng)
        while True:
            count = rng.randint(level.fewest, level.most)
            digits, balanced = rng.choice((any_digits, any_digits, largest, smallest))(rng, count)
            if _allowed(spaced(digits), split):
                break
        questions = [_ask("read", rng, spaced(digits), chance=0.1**count)]
        if kind == "language":
            languages = {voice.language for voice in self._speakers(kind, level, split)}
            questions.append(_ask("language", rng, LANGUAGES[voice.language], chance=1 / len(languages)))
        elif level.fewest < level.most and rng.random() < 0.2:
            chance = 1 / (level.most - level.fewest + 1)
            questions.append(_ask("count", rng, str(count), spaced(digits), chance))
        else:
            questions.append(place_question(digits, rng) if rng.random() < 0.25 else balanced)
        return [self._load(voice.numbers[digit]) for digit in digits], questions

    def _spell(self, level: Level, split: Split, rng: random.Random, kind: str) -> Made:
        voice = self._voice(kind, level, split, rng)
        length = rng.randint(level.fewest, level.most)
        sides = (False, True) if split == "out_of_range" else (split == "held_out",)
        word = rng.choice([word for side in sides for word in self._words[length, side]])
        if split == "train" and rng.random() < INVENTED:
            word = _invented(length, rng)
        ordinal, place = rng.choice(list(END_LETTERS.items()))
        questions = [
            replace(_ask("spell", rng, word, " ".join(word)), spelled=True),
            _ask("letter", rng, word[place], chance=self._letter_chance, ordinal=ordinal),
        ]
        return [self._load(voice.letters[letter]) for letter in word], questions

    def _add(self, level: Level, split: Split, rng: random.Random, kind: str) -> Made:
        voice = self._voice(kind, level, split, rng)
        known = [number for number in voice.numbers if number <= level.number]
        while True:
            one, other = rng.choice(known), rng.choice(known)
            if _allowed(f"{one} {other}", split):
                break
        questions = [
            _ask("add", rng, str(one + other), f"{one}+{other}={one + other}", 1 / (level.number + 1)),
            _ask("numbers", rng, f"{one} {other}", chance=1 / (level.number + 1) ** 2),
        ]
        return [self._load(voice.numbers[number]) for number in (one, other)], questions

    def _transcribe(self, level: Level, split: Split, rng: random.Random, kind: str) -> Made:
        prompts = self._short_prompts(level, split)
        english = [clip for clip in prompts if clip.language == "en"]
        clip = rng.choice(english if english and rng.random() < 0.5 else prompts)
        transcript = " ".join(clip.transcript.split())
        questions = [_ask("transcribe", rng, transcript)]
        if len(transcript) <= 36:
            lengths = Counter(len(prompt.transcript.split()) for prompt in prompts)
            chance = max(lengths.values()) / lengths.total()
            questions.append(_ask("words", rng, str(len(transcript.split())), transcript, chance))
        return [self._load(clip)], questions

    def _load(self, clip: Clip) -> np.ndarray:
        name = f"{clip.source}/{clip.speaker}", clip.key
        if name not in self._decoded:
            if len(self._decoded) >= 1000:  # some 100 MB
                self._decoded.clear()
            self._decoded[name] = clip.load()
        return self._decoded[name]


def _invented(length: int, rng: random.Random) -> str:
    """Draw letters at random that are no held-out word."""
    while True:
        word = "".join(rng.choices(ascii_lowercase, k=length))
        if not held_out(f"word {word}", WORDS_APART):
            return word


def _allowed(label: str, split: Split) -> bool:
    return split == "out_of_range" or held_out(label) == (split == "held_out")


def _ask(
    kind: str, rng: random.Random, answer: str, thoughts: str = "", chance: float = 0.0, **values: object
) -> Question:
    return Question(rng.choice(WORDINGS[kind]).format(**values), answer, kind, thoughts, chance)


def _join(pieces: list[np.ndarray], rng: random.Random, augment: bool) -> np.ndarray:
    """Join the pieces with gaps of 40 to 160 ms; float32 at 16 kHz, its peak at 0.7, or 0.3 to 0.95 if `augment`."""
    joined: list[np.ndarray] = []
    for piece in pieces:
        joined += [piece, np.zeros(rng.randint(SAMPLE_RATE // 25, SAMPLE_RATE // 6), np.float32)]
    samples = np.concatenate(joined[:-1])
    peak = max(1e-6, float(samples.max()), -float(samples.min()))
    if not augment:
        return samples * np.float32(0.7 / peak)
    speed = 1 + rng.uniform(-FASTEST, FASTEST)
    places = np.arange(0, len(samples) - 1, speed)
    before = places.astype(np.intp)
    places -= before
    after = places.astype(np.float32)
    # Clipping changes nothing here, but spares a check of every place.
    changed = samples[1:].take(before, mode="clip")
    changed *= after
    changed += samples.take(before, mode="clip") * (1 - after)
    changed *= np.float32(rng.uniform(0.3, 0.95) / peak)
    # Below -40 dB of the loudest, so that pauses are still heard as silence.
    noise = np.random.default_rng(rng.getrandbits(32)).random(len(changed), np.float32)
    noise -= np.float32(0.5)
    noise *= np.float32(rng.uniform(0, 0.002))
    changed += noise
    return changed.clip(-1, 1, out=changed)


def _edits(said: list[str], wanted: list[str]) -> int:
    """Return the least number of words to change, insert or delete (Levenshtein 1966)."""
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]
