"""BM25 over chunks, each analysed in its own language, in shards with common statistics."""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from index.analysis import terms
from index.files import read_array, write_array
from ingest.language import detect_language

# Lucene's form with its usual constants. Source: Robertson & Zaragoza 2009, "The Probabilistic Relevance
# Framework: BM25 and Beyond", section 3.3; Kamphuis et al. 2020, "Which BM25 Do You Mean?", for the variants.
_K1 = 1.2
_B = 0.75


Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Postings:
    """How often terms occur in passages: hashes (P,) uint64, positions (P,) uint32 and counts (P,) uint32."""

    terms: NDArray[np.uint64]
    passages: NDArray[np.uint32]
    counts: NDArray[np.uint32]

    def moved(self, places: Places, size: int) -> Self:
        """Those of `size` passages that are at a new position i now, where `places[i]` is the old one."""
        new = np.full(size, -1, np.int64)
        new[places[places >= 0]] = np.flatnonzero(places >= 0)
        kept = new[self.passages] >= 0
        return type(self)(self.terms[kept], new[self.passages[kept]].astype(np.uint32), self.counts[kept])

    def with_those(self, others: Self) -> Self:
        """Both together."""
        return type(self)(
            np.concatenate((self.terms, others.terms)),
            np.concatenate((self.passages, others.passages)),
            np.concatenate((self.counts, others.counts)),
        )

    def merged(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint16]]:
        """Terms, offsets, passages and counts as a shard has them."""
        order = np.lexsort((self.passages, self.terms))
        terms, passages = self.terms[order], self.passages[order]
        firsts = np.flatnonzero(_differs(terms) | _differs(passages))  # of each (term, passage)
        counts = np.add.reduceat(self.counts[order], firsts) if len(firsts) else np.zeros(0, np.uint32)
        heads = np.flatnonzero(_differs(terms[firsts]))  # of each term
        return (
            terms[firsts][heads],
            np.append(heads, len(firsts)).astype(np.int64),
            passages[firsts],
            np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16),
        )


@dataclass(frozen=True, slots=True)
class LexicalShard:
    """Postings of n passages: those of the t-th term lie at `offsets[t]:offsets[t + 1]`.

    `terms` (T,) uint64 are hashes, ascending; `passages` (P,) uint32 positions within the shard; `counts` (P,) uint16
    how often the term occurs in the passage; `lengths` (n,) uint32 terms of each passage.
    """

    terms: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    passages: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.uint32]

    @classmethod
    def build(cls, passages: Iterable[tuple[str, str]], known: tuple[Self, Places] | None = None) -> Self:
        """The postings of (text, language) pairs in the order of their positions.

        `known` is an older shard and the places (n,) that passages had in it, -1 for new ones; the others are not
        analysed again.
        """
        found, lengths, owners = array("Q"), array("I"), array("I")
        for position, (text, language) in enumerate(passages):
            if known is not None and known[1][position] >= 0:
                lengths.append(int(known[0].lengths[known[1][position]]))
                continue
            new = terms(text, language)
            found.extend(map(_hash, new))
            owners.extend([position] * len(new))
            lengths.append(len(new))
        postings = _Postings(_of(found, np.uint64), _of(owners, np.uint32), np.ones(len(found), np.uint32))
        if known is not None:
            postings = postings.with_those(known[0]._postings().moved(known[1], len(known[0].lengths)))
        return cls(*postings.merged(), _of(lengths, np.uint32))

    def save(self, folder: Path) -> None:
        """Writes the shard into `folder` as .npy files."""
        folder.mkdir(exist_ok=True)
        for name in self.__slots__:
            write_array(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The shard saved in `folder`, memory-mapped."""
        return cls(*(read_array(folder / f"{name}.npy") for name in cls.__slots__))

    def _postings(self) -> "_Postings":
        return _Postings(np.repeat(self.terms, np.diff(self.offsets)), self.passages, self.counts.astype(np.uint32))

    def postings(self, term: int) -> slice:
        """Where a term's postings lie; empty for a term that no passage has."""
        place = int(np.searchsorted(self.terms, np.uint64(term)))
        if place == len(self.terms) or int(self.terms[place]) != term:
            return slice(0, 0)
        return slice(int(self.offsets[place]), int(self.offsets[place + 1]))


class LexicalIndex:
    """BM25 scores of every chunk for a question, the same however the chunks are spread over shards."""

    def __init__(self, shards: Sequence[LexicalShard], languages: Sequence[str]) -> None:
        self._shards = shards
        self._languages = tuple(languages)
        self._starts = np.cumsum([0, *(len(shard.lengths) for shard in shards)])

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the indexed passages."""
        return self._languages

    def __len__(self) -> int:
        return int(self._starts[-1])

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of each passage (N,) float32.

        The question is analysed in every language of the corpus: a name or a cognate in a Spanish
        question then meets the stem that a Portuguese passage was indexed under. The stop words of its own
        language are left out of all: in documents of another they would count as rare words.
        """
        scores = np.zeros(len(self), np.float32)
        for term in sorted({term for own in self._terms(question) for term in own}):
            places = [shard.postings(term) for shard in self._shards]
            weight = self._inverse_frequency(places)
            for shard, norms, part, place in zip(self._shards, self._norms, self._parts(scores), places, strict=True):
                passages, counts = shard.passages[place], shard.counts[place].astype(np.float32)
                part[passages] += weight * counts / (counts + norms[passages])
        return scores

    def coverage(self, question: str, positions: Places) -> NDArray[np.float32]:
        """Share in [0, 1] of the question's terms that each passage at `positions` (K,) holds, (K,) float32.

        Terms weigh by their inverse frequency, unknown ones most, so the share does not grow with the corpus. How
        often a term occurs and how long the passage is do not count. Of the languages of the corpus the one that
        covers most counts, passage by passage.
        """
        best = np.zeros(len(positions), np.float32)
        for own in self._terms(question):
            covered, total = np.zeros(len(positions), np.float32), np.float32(0)
            for term in sorted(own):
                places = [shard.postings(term) for shard in self._shards]
                weight = self._inverse_frequency(places)
                covered += weight * self._having(places, positions)
                total += weight
            if total > 0:
                best = np.maximum(best, covered / total)
        return best

    def _terms(self, question: str) -> list[set[int]]:
        """The question's terms as each language of the corpus has them."""
        asked = detect_language(question)
        return [{_hash(term) for term in terms(question, each, written_in=asked)} for each in self._languages]

    def _inverse_frequency(self, places: Sequence[slice]) -> np.float32:
        """The weight of a term whose postings lie there, shard by shard."""
        having = sum(place.stop - place.start for place in places)
        return np.float32(np.log1p((len(self) - having + 0.5) / (having + 0.5)))

    def _having(self, places: Sequence[slice], positions: Places) -> NDArray[np.bool_]:
        """Which of the positions (K,) have a posting there."""
        having = np.zeros(len(positions), np.bool_)
        for shard, start, place in zip(self._shards, self._starts, places, strict=False):
            passages = shard.passages[place]
            here = np.flatnonzero((positions >= start) & (positions < start + len(shard.lengths)))
            if len(passages) and len(here):
                within = (positions[here] - start).astype(passages.dtype)  # of another type, all passages would be cast
                found = np.minimum(np.searchsorted(passages, within), len(passages) - 1)
                having[here] = passages[found] == within
        return having

    def _parts(self, scores: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Views of the scores, by shard."""
        return np.split(scores, self._starts[1:-1])

    @cached_property
    def _norms(self) -> list[NDArray[np.float32]]:
        """What a passage's length adds to its counts, by shard (n,)."""
        total = sum(int(shard.lengths.sum(dtype=np.int64)) for shard in self._shards)
        average = total / max(len(self), 1) or 1.0
        return [(_K1 * (1 - _B + _B * shard.lengths / average)).astype(np.float32) for shard in self._shards]


@lru_cache(maxsize=200_000)
def _hash(term: str) -> int:
    """64 bits for a term; of a million terms, two are alike with a probability of 3e-8."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _of(values: "array[int]", kind: type[Any]) -> NDArray[Any]:
    return np.frombuffer(values, kind) if values else np.zeros(0, kind)


def _differs(values: NDArray[np.uint64] | NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; the first one does."""
    changed = np.ones(len(values), np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed
