"""Byte-level byte-pair encoding: text as tokens that were learnt from a text, and back without loss.

A text is cut into pieces (a word with the space before it, digits, punctuation, spaces), a piece is bytes, and
the most frequent neighbours inside pieces were merged into one token, again and again. As every byte is a token
itself, nothing is ever unknown: `decode(encode(x)) == x` for any bytes.

Source: Sennrich et al. 2016, "Neural machine translation of rare words with subword units", algorithm 1; on
bytes as in Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.2.
"""

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

Pair = tuple[int, int]

BYTES = 256
FORMAT = "fuente-bpe-1"
# Python's re and the tokenizers library's engine read it alike for the letters of our languages.
PIECES = re.compile(r" ?[^\W\d_]+| ?\d{1,3}| ?[^\w\s]+|_+|\s+(?!\S)|\s")
_REMEMBERED = 100_000


class TokeniserError(ValueError):
    """A vocabulary that cannot be learnt or read, or a token that it does not hold."""


def pieces(data: bytes) -> Iterator[bytes]:
    """The pieces of a text, which together are the text; bytes that are not UTF-8 are carried along."""
    for match in PIECES.finditer(data.decode("utf-8", "surrogateescape")):
        yield match.group().encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class BytePairTokeniser:
    """Turns text into token numbers and back.

    `merges[k]` are the two tokens that token 256 + k stands for; 0 to 255 are the bytes. The special tokens
    have the numbers after the merges, and no text turns into them unless `encode` is asked to allow it: a
    document that spells "<end>" must not end anything.
    """

    merges: tuple[Pair, ...]
    special: tuple[str, ...] = ()
    _ranks: dict[Pair, int] = field(init=False, repr=False, compare=False)
    _bytes: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    _known: dict[bytes, tuple[int, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: TokeniserError: a merge of tokens that come after it, or a name that is used twice."""
        spelled = [bytes([value]) for value in range(BYTES)]
        for number, (left, right) in enumerate(self.merges, start=BYTES):
            if not (0 <= left < number and 0 <= right < number):
                raise TokeniserError(f"Token {number} merges {left} and {right}: both must be below {number}.")
            spelled.append(spelled[left] + spelled[right])
        if len(set(self.special)) < len(self.special) or "" in self.special:
            raise TokeniserError(f"Special tokens {self.special}: every name must be there once and not be empty.")
        object.__setattr__(self, "_bytes", tuple(spelled))
        object.__setattr__(self, "_ranks", {pair: rank for rank, pair in enumerate(self.merges)})

    @property
    def size(self) -> int:
        """How many tokens there are, the special ones included."""
        return len(self._bytes) + len(self.special)

    def token(self, name: str) -> int:
        """The number of a special token."""
        if name not in self.special:
            raise TokeniserError(f"Special token {name!r}: this vocabulary has {', '.join(self.special) or 'none'}.")
        return len(self._bytes) + self.special.index(name)

    def encode(self, text: str | bytes, *, allow_special: bool = False) -> list[int]:
        """Token numbers of a text. `allow_special` turns the names of special tokens into them."""
        if not allow_special or not self.special:
            return self._encode_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
        text = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
        names = sorted(self.special, key=len, reverse=True)
        ids: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, names))})", text):
            ids += [self.token(part)] if part in self.special else self.encode(part)
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that tokens stand for; a special token stands for its name."""
        return b"".join(self.spell(token) for token in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text that tokens stand for; a character whose bytes are not all there is shown as �."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def spell(self, token: int) -> bytes:
        """The bytes of one token. Raises: TokeniserError: there is no such token."""
        if 0 <= token < len(self._bytes):
            return self._bytes[token]
        if len(self._bytes) <= token < self.size:
            return self.special[token - len(self._bytes)].encode()
        raise TokeniserError(f"Token {token}: this vocabulary has the tokens 0 to {self.size - 1}.")

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON."""
        content = {"format": FORMAT, "special": self.special, "merges": self.merges}
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "BytePairTokeniser":
        """The vocabulary of a file that `save` wrote. Raises: TokeniserError: the file holds anything else."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise TokeniserError(f"{path}: format {content['format']!r}, and this reads {FORMAT!r}.")
            merges = tuple((_number(left), _number(right)) for left, right in content["merges"])
            return cls(merges, tuple(str(name) for name in content["special"]))
        except TokeniserError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise TokeniserError(f"{path} is not a vocabulary that `save` wrote: {error}") from error

    def _encode_bytes(self, data: bytes) -> list[int]:
        ids: list[int] = []
        for piece in pieces(data):
            merged = self._known.get(piece)
            if merged is None:
                merged = self._merge(piece)
                if len(self._known) < _REMEMBERED:  # words come again: of 3.8M characters only 31,000 are new
                    self._known[piece] = merged
            ids += merged
        return ids

    def _merge(self, piece: bytes) -> tuple[int, ...]:
        """Merges neighbours, the merge that was learnt first goes first."""
        ids = list(piece)
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: self._ranks.get(pair, len(self.merges)))
            if pair not in self._ranks:
                break
            ids = replace_pair(ids, pair, BYTES + self._ranks[pair])
        return tuple(ids)


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TokeniserError(f"A merge of {value!r}: tokens are whole numbers.")
    return value


def replace_pair(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """The tokens with every occurrence of the pair, from the left, turned into the new one."""
    merged: list[int] = []
    position = 0
    while position < len(ids):
        if tuple(ids[position : position + 2]) == pair:
            merged.append(new)
            position += 2
        else:
            merged.append(ids[position])
            position += 1
    return merged


def train_bpe(
    texts: Iterable[str | bytes],
    size: int,
    *,
    special: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> BytePairTokeniser:
    """A vocabulary of `size` tokens for these texts, or fewer where no neighbours are left that come twice.

    Counts neighbours over the different pieces, each weighted by how often it comes, and keeps the counts
    up to date: after a merge only the pieces that hold it are looked at. Equal counts go by the lower numbers.

    Raises:
        TokeniserError: `size` leaves no room for the bytes and the special tokens.
    """
    wanted = size - BYTES - len(special)
    if wanted < 0:
        raise TokeniserError(f"Size {size}: {BYTES} bytes and {len(special)} special tokens need room; ask for more.")
    counts = Counter(
        piece
        for text in texts
        for piece in pieces(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    )
    learner = _Learner([list(piece) for piece in counts], list(counts.values()))
    merges: list[Pair] = []
    while len(merges) < wanted and (pair := learner.most_frequent()) is not None:
        learner.merge(pair, BYTES + len(merges))
        merges.append(pair)
        if progress is not None:
            progress(len(merges), wanted)
    return BytePairTokeniser(tuple(merges), tuple(special))


class _Learner:
    """The pieces as they are merged so far, and how often every pair of neighbours comes in them."""

    def __init__(self, words: list[list[int]], weights: list[int]) -> None:
        self.words, self.weights = words, weights
        self.counts: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        for number in range(len(words)):
            self._count(number, +1)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def most_frequent(self) -> Pair | None:
        """The pair that comes most often, None where none comes twice. Old entries of the heap are thrown away."""
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            if self.counts[pair] == -count:
                return pair if -count > 1 else None
        return None

    def merge(self, pair: Pair, new: int) -> None:
        touched: set[Pair] = {pair}
        for number in list(self.where[pair]):
            before = self._count(number, -1)
            self.words[number] = replace_pair(self.words[number], pair, new)
            touched |= before | self._count(number, +1)
        for changed in touched:
            if self.counts[changed] > 0:
                heapq.heappush(self.heap, (-self.counts[changed], changed))

    def _count(self, number: int, sign: int) -> set[Pair]:
        word = self.words[number]
        pairs = list(pairwise(word))
        for pair in pairs:
            self.counts[pair] += sign * self.weights[number]
        for pair in set(pairs):
            (self.where[pair].add if sign > 0 else self.where[pair].discard)(number)
        return set(pairs)
