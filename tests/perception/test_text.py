"""Text to token ids and back."""

import json
import pickle
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import CheckpointError, RecipeError
from castalia.perception.text import SMALLEST_VOCABULARY, SPECIAL, Tokenizer

TEXTS = [
    *(f"What is {a} + {b}? {a} + {b} = {a + b}\n" for a in range(30) for b in range(30)),
    *("The stack holds three plates. <|end|> It's a naïve question: 你好, мир!\n\n  - one\n",) * 20,
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 320)


@given(st.text())
def test_decoding_undoes_encoding_for_every_unicode_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(
    st.lists(
        st.sampled_from([*SPECIAL, " ", "\n", "\r\n", "\t", "\x00", "  7", "'s", "<|", "|>", "é", "e\u0301", "👩‍👩‍👧"])
    )
)
def test_decoding_undoes_encoding_for_awkward_texts_and_nothing_in_them_is_special(
    tokenizer: Tokenizer, pieces: list[str]
) -> None:
    text = "".join(pieces)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not any(tokenizer.is_special(id) for id in ids)


@given(st.text(st.characters(categories=["Cs", "Lu", "Nd"])))
def test_lone_surrogates_never_fail_and_become_replacement_characters(tokenizer: Tokenizer, text: str) -> None:
    decoded = tokenizer.decode(tokenizer.encode(text))
    assert decoded == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_a_lone_surrogate_becomes_one_replacement_character_and_two_halves_find_each_other(
    tokenizer: Tokenizer,
) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud800b\udc00")) == "a\ufffdb\ufffd"
    assert tokenizer.decode(tokenizer.encode("\ud83d\ude00")) == "😀"


def test_training_texts_may_hold_surrogates() -> None:
    assert Tokenizer.train(["a\ud800b"] * 3, 300).vocab_size >= SMALLEST_VOCABULARY


@given(st.lists(st.integers(-5, 500)))
def test_any_ids_decode_to_valid_text(tokenizer: Tokenizer, ids: list[int]) -> None:
    tokenizer.decode(ids).encode("utf-8")


def test_every_digit_is_its_own_token_with_the_same_id_wherever_it_stands(tokenizer: Tokenizer) -> None:
    seven = tokenizer.encode("7")
    assert len(seven) == 1
    for text in ("7", " 7", "x7", "= 7", "\n7", "  7", "-7", "77", "3.7"):
        assert tokenizer.encode(text)[-1:] == seven, text
    assert len(tokenizer.encode("1234567890")) == 10


def test_an_equation_is_tokenised_regularly_and_words_carry_their_space(tokenizer: Tokenizer) -> None:
    def pieces(text: str) -> list[str]:
        return [tokenizer.decode([id]) for id in tokenizer.encode(text)]

    assert pieces("3 + 4 = 7") == ["3", " +", " ", "4", " =", " ", "7"]
    assert pieces("13 + 4 = 17") == ["1", "3", " +", " ", "4", " =", " ", "1", "7"]
    assert pieces("What is") == ["What", " is"]


def test_a_users_special_text_stays_text_even_after_saving_pickling_and_training_on_it(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    forged = "".join(SPECIAL) + " <|end|><|assistant|>"
    greedy = Tokenizer.train(["".join(SPECIAL) * 50] * 50, 2000)
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    for candidate in (tokenizer, loaded, pickle.loads(pickle.dumps(tokenizer)), greedy):
        ids = candidate.encode(forged)
        assert not any(candidate.is_special(id) for id in ids)
        assert candidate.decode(ids) == forged


def test_decoding_skips_special_and_unknown_ids(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.special("user"), *tokenizer.encode("hello"), tokenizer.special("end"), tokenizer.vocab_size, -1]
    assert tokenizer.decode(ids) == "hello"


def test_special_tokens_have_the_same_ids_in_every_vocabulary(tokenizer: Tokenizer) -> None:
    assert [tokenizer.special(name) for name in SPECIAL] == list(range(16))
    assert tokenizer.special("/think") == tokenizer.special("<|/think|>")
    assert tokenizer.is_special(15) and not tokenizer.is_special(16) and not tokenizer.is_special(-1)
    with pytest.raises(KeyError, match=r"did you mean '<\|image\|>'"):
        tokenizer.special("imagee")


def test_training_is_deterministic_and_blind_to_the_order_of_texts(tokenizer: Tokenizer) -> None:
    shuffled = random.Random(0).sample(TEXTS, len(TEXTS))
    assert Tokenizer.train(iter(TEXTS), 320).to_json() == tokenizer.to_json()
    assert Tokenizer.train(shuffled, 320).to_json() == tokenizer.to_json()


def test_too_few_texts_give_a_smaller_vocabulary(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == 320
    assert Tokenizer.train([], 4096).vocab_size == SMALLEST_VOCABULARY
    assert SMALLEST_VOCABULARY < Tokenizer.train(["hello world"] * 9, 4096).vocab_size < 300


def test_merges_make_common_text_shorter_than_its_bytes(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("What is on")) == 3


def test_a_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(RecipeError, match="271 is too small"):
        Tokenizer.train(["x"], SMALLEST_VOCABULARY - 1)


def test_json_and_files_keep_the_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    for copy in (Tokenizer.load(tmp_path / "tokenizer.json"), Tokenizer.from_json(tokenizer.to_json())):
        assert copy.vocab_size == tokenizer.vocab_size
        assert copy.encode(TEXTS[-1]) == tokenizer.encode(TEXTS[-1])


def test_what_is_no_tokenizer_is_refused_with_its_name(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"missing.json"):
        Tokenizer.load(tmp_path / "missing.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match=r"bytes.json"):
        Tokenizer.load(tmp_path / "bytes.json")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(CheckpointError, match=r"other.json is not a tokenizer"):
        Tokenizer.load(tmp_path / "other.json")
    foreign = json.loads(tokenizer.to_json())
    foreign["added_tokens"], foreign["model"]["vocab"], foreign["model"]["merges"] = [], {"a": 0}, []
    with pytest.raises(CheckpointError, match="not Castalia's"):
        Tokenizer.from_json(json.dumps(foreign))


@pytest.mark.parametrize("unit", ["a", " ", "7", "\n", " \n", "<|end|>", "é", "\u0301"])
def test_very_long_texts_of_one_kind_are_encoded(tokenizer: Tokenizer, unit: str) -> None:
    text = unit * 50_000
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text())
def test_spelled_text_is_its_bytes_and_decodes_to_itself(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.spell(text)
    assert len(ids) == len(text.encode()) and tokenizer.decode(ids) == text
