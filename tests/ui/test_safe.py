"""Whatever goes in comes out as text: read back by a parser, with the tags and attributes of ours alone."""

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ui import safe

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</div></details><style>*{display:none}</style>",
    "![](http://evil.example/x.png)",
    "[a](javascript:alert(1))",
    "$\\latex$ :material/home: :red[x] **b** `c`",
    "&lt;b&gt; &amp;amp; &#60;i&#62; &NewLine;",
    "--><svg/onload=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "<![CDATA[<b>]]>",
    "<math><mtext><table><mglyph><style><!--</style><img src onerror=alert(1)>",
]
ANY_TEXT = st.one_of(st.text(), st.text(st.characters()), st.lists(st.sampled_from(HOSTILE)).map("".join))


class _Reader(HTMLParser):
    """What a browser would see: tags with attributes, and text."""

    def __init__(self, code):
        super().__init__()
        self.seen = []
        self.text = ""
        self.feed(code)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@given(ANY_TEXT)
@example("".join(HOSTILE))
@example("\udcff\x00\r\n\r\t  x")
def test_text_comes_back_exactly_and_brings_no_tag(text):
    code = safe.tag("div", text, class_="fu-answer").code
    read = _Reader(code)
    assert read.seen == [("div", {"class": "fu-answer"})]
    assert read.text == safe.visible(text)


@given(ANY_TEXT)
def test_escaped_text_has_nothing_that_html_or_streamlit_could_act_on(text):
    code = safe.escape(text).code
    assert not set("<>\"'\n\t") & set(code)
    code.encode()  # can be sent


@given(st.lists(st.one_of(ANY_TEXT, st.none()), max_size=5))
def test_children_are_joined_in_order(children):
    code = safe.block("x", *children).code
    expected = "".join(safe.visible(child) for child in children if child is not None)
    assert _Reader(code).text == expected


@given(ANY_TEXT)
def test_names_stay_on_one_line(text):
    shown = _Reader(safe.name(text).code).text
    assert "\n" not in shown


@given(st.text())
def test_visible_text_is_stable_and_has_no_direction_override(text):
    once = safe.visible(text)
    assert safe.visible(once) == once
    assert not any("\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" for character in once)


@given(ANY_TEXT)
def test_contents_of_a_style_cannot_leave_their_string(text):
    code = safe.contents({"p::after": text}).code
    inside = code.removeprefix('<style>p::after{content:"').removesuffix('"}</style>')
    assert set(inside) <= set("\\0123456789abcdef")
    decoded = "".join(chr(int(part, 16)) for part in inside.split("\\")[1:])
    assert decoded == text


@pytest.mark.parametrize("name", ["script", "img", "iframe", "style", "svg", "form", "input", "div onload=x"])
def test_other_tags_are_refused(name):
    with pytest.raises(ValueError, match="tag"):
        safe.tag(name, "x")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("href", "http://evil.example"),
        ("href", "javascript:alert(1)"),
        ("href", "//evil.example"),
        ("href", "#a\n"),
        ("class_", 'x" onclick="y'),
        ("onclick", "x"),
        ("style", "x"),
        ("src", "x"),
        ("id", "a b"),
    ],
)
def test_other_attributes_and_values_are_refused(attribute, value):
    with pytest.raises(ValueError, match="attribute"):
        safe.tag("a", "x", **{attribute: value})
