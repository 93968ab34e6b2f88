"""The one place where text becomes HTML.

Documents, file names, questions and model output are untrusted. They enter a page only as children of `tag`, which
escapes them; tags, attributes and attribute values come from short lists, so that nothing they hold can
load, link or run. Streamlit sanitises once more in the browser.
"""

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TAGS = frozenset(
    (
        "a",
        "bdi",
        "blockquote",
        "code",
        "details",
        "div",
        "h1",
        "h2",
        "li",
        "mark",
        "ol",
        "p",
        "span",
        "strong",
        "summary",
        "ul",
    )
)
# Values made of these characters can neither end an attribute nor name an address outside the page.
_ATTRIBUTES = {
    "class": re.compile(r"[a-z0-9 -]+"),
    "href": re.compile(r"#[a-z0-9-]+"),
    "id": re.compile(r"[a-z0-9-]+"),
    "lang": re.compile(r"[a-z-]+"),
    "open": re.compile(r"open"),
    "role": re.compile(r"[a-z]+"),
}
# Control characters, surrogates, which cannot be sent, and direction overrides, with which "fdp.exe" can
# pass for "exe.pdf".
_REPLACED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Html:
    """A piece of a page that is safe to show; made only by this module."""

    code: str


Child = Html | str | None


def visible(text: str) -> str:
    """`text` with characters that cannot be shown, or that change how others show, replaced."""
    return _REPLACED.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: str) -> Html:
    """Exactly `text`, as HTML without any markup.

    Newlines and tabs are written as references: Streamlit tidies the white space of what it is given.
    """
    code = html.escape(visible(text), quote=True)
    return Html(code.replace("\n", "&#10;").replace("\t", "&#9;"))


def join(children: Iterable[Child]) -> Html:
    """The children one after another; plain strings are escaped and None is left out."""
    return Html("".join(_code(child) for child in children))


def tag(name: str, *children: Child, **attributes: str) -> Html:
    """An element around its children; `class_` stands for the attribute class.

    Raises: ValueError for a tag, attribute or attribute value that is not on the lists.
    """
    if name not in _TAGS:
        raise ValueError(f"tag {name!r} is not one of {sorted(_TAGS)}; add it there if it can do no harm")
    written = "".join(_attribute(key.rstrip("_"), value) for key, value in attributes.items())
    return Html(f"<{name}{written}>{join(children).code}</{name}>")


def block(class_: str, *children: Child, **attributes: str) -> Html:
    """A div of a class."""
    return tag("div", *children, class_=class_, **attributes)


def span(class_: str, *children: Child) -> Html:
    """A span of a class."""
    return tag("span", *children, class_=class_)


def name(text: str, class_: str = "fu-name") -> Html:
    """A file name or title on its own line, kept apart from the direction of what surrounds it."""
    return tag("bdi", " ".join(text.split()), class_=class_)


def contents(texts: Mapping[str, str]) -> Html:
    """A style that writes each text where its CSS selector, a literal of ours, points to."""
    rules = [f'{selector}{{content:"{_css_string(text)}"}}' for selector, text in texts.items()]
    return Html(f"<style>{''.join(rules)}</style>")


def _css_string(text: str) -> str:
    return "".join("\\" + format(ord(character), "06x") for character in text)


def _code(child: Child) -> str:
    if child is None:
        return ""
    return child.code if isinstance(child, Html) else escape(child).code


def _attribute(key: str, value: str) -> str:
    allowed = _ATTRIBUTES.get(key)
    if allowed is None or not allowed.fullmatch(value):
        raise ValueError(f"attribute {key}={value!r} is not allowed; see the list in ui/safe.py")
    return f' {key}="{value}"'
