"""Sources show what stands in the document, where it stands."""

from hypothesis import given
from hypothesis import strategies as st

from tests.ui.fakes import QUOTE, TEXT, answer, citation, hit
from ui.sources import around, flowing, nearest_html, passages_html, sources_html, sources_of
from ui.texts import TEXTS

EN, ES = TEXTS["en"], TEXTS["es"]


@given(st.text(max_size=200), st.integers(0, 200), st.integers(0, 200), st.integers(1, 50))
def test_the_context_stands_in_the_document(text, a, b, width):
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    before, after = around(text, start, end, width)
    assert text[:start].endswith(before)
    assert text[end:].startswith(after)
    assert len(before) <= width
    assert len(after) <= width


def test_the_context_is_cut_between_words():
    text = "aaaa bbbb cccc QUOTE dddd eeee ffff"
    start = text.index("QUOTE")
    assert around(text, start, start + 5, 7) == ("cccc ", " dddd")


def test_short_documents_are_shown_whole():
    start = TEXT.index(QUOTE)
    before, after = around(TEXT, start, start + len(QUOTE))
    assert before + QUOTE + after == TEXT


def test_a_document_that_is_gone_leaves_the_quote():
    (source,) = sources_of(answer(), lambda _: None)
    assert (source.before, source.quote, source.after) == ("", QUOTE, "")
    assert source.headings == ("Moon", "Matter")


def test_a_citation_without_page_or_headings_has_no_empty_marks():
    bare = answer(hits=(), citations=(citation(),))
    (source,) = sources_of(bare, lambda _: None)
    code = sources_html([source], 1, EN).code
    assert ">p. 3<" in code


def test_the_words_that_answer_stand_out_in_the_quote_that_has_them():
    words = QUOTE.split()[1]
    for found, times in (((words,), 2), (("elsewhere", words), 2), (("elsewhere",), 0), ((), 0)):
        sources = sources_of(answer(words=found), lambda _: None)
        code = sources_html(sources, 1, EN).code
        assert code.count(f"<strong>{words}</strong>") == times
        assert code.count("<strong>") == times


def test_numbers_follow_the_language():
    assert "puntuación 1,50" in passages_html([hit()], ES).code
    assert "score 1.50" in passages_html([hit()], EN).code


def test_only_the_nearest_three_are_put_forward():
    hits = [hit(f"passage {rank}", rank=rank) for rank in range(1, 6)]
    assert nearest_html(hits, EN).code.count("<details") == 3
    assert passages_html(hits, EN).code.count('class="fu-hit"') == 5


@given(st.text(alphabet="ab |\n-1A", max_size=300))
def test_flowing_text_differs_only_in_line_breaks(text):
    flowed = flowing(text, "x.md")
    assert len(flowed) == len(text)
    assert flowed.replace("\n", " ") == text.replace("\n", " ")


def test_prose_flows_and_tables_code_and_lists_do_not():
    line = "a line of prose that is as long as the page is wide,"
    assert flowing(f"{line}\nand goes on", "x.md") == f"{line} and goes on"
    assert flowing(f"{line}\n\nnext paragraph", "x.md") == f"{line}\n\nnext paragraph"
    assert flowing(f"{line}\n- item", "x.md") == f"{line}\n- item"
    assert flowing(f"| {line} |\nnext", "x.md") == f"| {line} |\nnext"
    assert flowing(f"{line}\nand", "x.py") == f"{line}\nand"
