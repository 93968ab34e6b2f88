"""An answer as a JSON object whose form is promised: `answer.schema.json` beside this file describes it."""

import json
import math
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from index.types import Hit
from rag.types import Answer, Citation, Sentence

FORMAT = "fuente-answer-1"


def answer_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) that every `answer_json` meets."""
    schema: dict[str, Any] = json.loads((files("rag") / "answer.schema.json").read_text(encoding="utf-8"))
    return schema


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer as an object for `json.dumps`."""
    return {
        "format": FORMAT,
        "question": answer.question,
        "standalone_question": answer.standalone_question,
        "rewriting": answer.rewritten.how if answer.rewritten else None,
        "answer": answer.text,
        "words": "; ".join(answer.words),
        "sentences": [_sentence_json(sentence) for sentence in answer.sentences],
        "missing": list(answer.missing),
        "reasoning": answer.reasoning,
        "unsure_names": list(answer.unsure),
        "unsupported": list(answer.unsupported),
        "abstained": answer.abstained,
        "refusal": answer.refusal,
        "confidence": round(answer.confidence, 4),
        "language": answer.language,
        "other_language": answer.other_language,
        "citations": [_citation_json(citation) for citation in answer.citations],
        "hits": [hit_json(hit) for hit in answer.hits],
        "timings_s": dict(answer.timings_s),
        "usage": asdict(answer.usage),
        "model": answer.model,
        "settings": _settings_json(answer),
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    """A passage that was found, as an object for `json.dumps`."""
    chunk = hit.chunk
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "source": hit.source,
        "collection": hit.collection,
        "page": chunk.page,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "matched": None if hit.matched is None else {"start": hit.matched.start, "end": hit.matched.end},
        "headings": list(chunk.headings),
        "document_id": chunk.document_id,
        "chunk_id": chunk.id,
        "language": hit.language,
        "duplicates": [_place_json(copy) for copy in hit.duplicates],
    }


def _place_json(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    return {"source": hit.source, "page": chunk.page, "start": chunk.start, "end": chunk.end, "chunk_id": chunk.id}


def _sentence_json(sentence: Sentence) -> dict[str, Any]:
    return {
        "text": sentence.text,
        "citations": list(sentence.markers),
        "support": sentence.support,
        "unsure": sentence.unsure,
    }


def _citation_json(citation: Citation) -> dict[str, Any]:
    return {
        "marker": citation.marker,
        "source": citation.source,
        "page": citation.page,
        "section": list(citation.section),
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
        "support": citation.support,
        "document_id": citation.document_id,
        "chunk_id": citation.chunk_id,
    }


def _settings_json(answer: Answer) -> dict[str, Any]:
    """How the answer was asked for; JSON has no infinity, so null stands for no limit."""
    given = {**asdict(answer.sampling), **asdict(answer.options)}
    return {name: None if value == math.inf else value for name, value in given.items() if name != "stop"}
