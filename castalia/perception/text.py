"""Text and token ids: byte-level BPE in which every digit stands alone and nobody's text can forge a special token."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from castalia.errors import CheckpointError, RecipeError, nearest

SPECIAL: tuple[str, ...] = (
    "<|document|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|end|>",
    "<|think|>",
    "<|/think|>",
    "<|call|>",
    "<|/call|>",
    "<|image|>",
    "<|patch|>",
    "<|speech|>",
    "<|frame|>",
    "<|silence|>",
    "<|pad|>",
)
"""The special tokens. Their ids are their places in this tuple, in every vocabulary."""

SMALLEST_VOCABULARY = len(SPECIAL) + 256
"""The special tokens and the 256 bytes: what is there before anything is learned."""

# One digit; line ends; a word, or a run of signs, with the one space before it; other white space. A space never
# joins a digit, so "7" has the same id in "=7" and in "= 7". A special token's name is always cut in three ("<|",
# "end", "|>"), so no merge can ever spell one.
PIECES = r"\p{N}|\s*[\r\n]+|'(?:s|t|d|m|ll|ve|re)| ?[\p{L}\p{M}]+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?=\s[^\s\p{N}])|\s+"

REMEMBERED, SHORT = 16384, 200
"""Texts of at most `SHORT` characters recur in training (questions, answers): the ids of the last ones are kept."""


class Tokenizer:
    """Text to token ids and back; ``decode(encode(text)) == text`` for every valid Unicode text."""

    def __init__(self, core: tokenizers.Tokenizer) -> None:
        """Wrap a tokenizer of the `tokenizers` library whose first ids are `SPECIAL`; see `train` and `load`."""
        # "Encode special tokens" is the library's name for reading them as the plain text they are in a user's text.
        core.encode_special_tokens = True
        self._core = core
        vocabulary = core.get_vocab()
        self._byte_ids = {byte: vocabulary[sign] for byte, sign in _SIGN_OF.items() if sign in vocabulary}
        self._remembered = lru_cache(REMEMBERED)(self._encode)
        self.vocab_size: int = core.get_vocab_size()

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn merges from `texts`; the same texts give the same tokenizer, in whatever order they come.

        With too few texts the vocabulary is smaller than `vocab_size`. Raises `RecipeError` if `vocab_size` is below
        `SMALLEST_VOCABULARY`. (Sennrich et al. 2016, arXiv:1508.07909, on bytes as in GPT-2.)
        """
        if vocab_size < SMALLEST_VOCABULARY:
            raise RecipeError(
                f"a vocabulary of {vocab_size} is too small: the {len(SPECIAL)} special tokens and the 256 bytes alone "
                f"need {SMALLEST_VOCABULARY}"
            )
        core = tokenizers.Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        core.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        core.train_from_iterator((_valid(text) for text in texts), trainer)
        return cls(core)

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read what `save` wrote. Raises `CheckpointError` if the file is missing or is not such a tokenizer."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"the tokenizer {path} cannot be read: {error}") from error
        return cls.from_json(text, name=str(path))

    @classmethod
    def from_json(cls, text: str, *, name: str = "the JSON text") -> "Tokenizer":
        """Make a tokenizer of what `to_json` gave. Raises `CheckpointError`, naming `name`, if it is something else."""
        try:
            core = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{name} is not a tokenizer: {error}") from error
        if any(core.token_to_id(token) != id for id, token in enumerate(SPECIAL)):
            raise CheckpointError(
                f"{name} is a tokenizer, but not Castalia's: its first {len(SPECIAL)} ids are not the special tokens"
            )
        return cls(core)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as JSON (the `tokenizers` library's own format) to `path`."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """Return the tokenizer as JSON text in the `tokenizers` library's own format."""
        return self._core.to_str()

    def __reduce__(self) -> tuple[object, tuple[str]]:
        # The library's own pickling forgets `encode_special_tokens`.
        return Tokenizer.from_json, (self.to_json(),)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, never a special one. Lone surrogates, which no UTF-8 can hold, become U+FFFD."""
        return list(self._remembered(text) if len(text) <= SHORT else self._encode(text))

    def spell(self, text: str) -> list[int]:
        """Return the ids of the bytes of `text`, none of them merged: decoded they are the same text."""
        return [self._byte_ids[byte] for byte in _valid(text).encode()]

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._core.encode(_valid(text), add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`: special and unknown ids are skipped, bytes that are no UTF-8 become U+FFFD."""
        return self._core.decode([id for id in ids if len(SPECIAL) <= id < self.vocab_size], skip_special_tokens=True)

    def bytes_of(self, id: int) -> bytes:
        """Return the bytes that a token stands for, which need not be whole characters; none of a special one."""
        if not len(SPECIAL) <= id < self.vocab_size:
            return b""
        return bytes(_BYTE_OF[sign] for sign in self._core.id_to_token(id) or "")

    def special(self, name: str) -> int:
        """Return the id of a special token, named in full (``"<|image|>"``) or bare (``"image"``); else `KeyError`."""
        token = name if name.startswith("<|") else f"<|{name}|>"
        if token not in SPECIAL:
            raise KeyError(f"there is no special token {name!r}; {nearest(token, SPECIAL)}")
        return SPECIAL.index(token)

    def is_special(self, id: int) -> bool:
        """Return whether `id` is a special token."""
        return 0 <= id < len(SPECIAL)


def _byte_signs() -> dict[str, int]:
    """Return GPT-2's byte for each sign of its alphabet: printable ones stand for themselves, the others follow 255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTE_OF = _byte_signs()
_SIGN_OF = {byte: sign for sign, byte in _BYTE_OF.items()}


def _valid(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # By way of UTF-16, two halves of one character (as JSON escapes leave them) find each other again.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
