"""PPTX: one page a slide."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pptx
from lxml import etree
from pptx.exc import PythonPptxError
from pptx.presentation import Presentation
from pptx.shapes.autoshape import Shape
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.slide import Slide

from ingest.readers.archive import MAX_MEMBERS, ZIP_ERRORS, damaged, open_archive, refuse_entities
from ingest.readers.tables import table_text
from ingest.readers.text_builder import TextBuilder
from ingest.types import Extract

PPTX_ERRORS = (
    PythonPptxError,
    etree.XMLSyntaxError,
    KeyError,
    ValueError,
    AttributeError,
    TypeError,
    IndexError,
    *ZIP_ERRORS,
)


def read_pptx(path: Path) -> Extract:
    """Slides as pages: the title as heading, the texts, the tables as blocks, and the speaker's notes last.

    Raises:
        UnreadableFileError: damaged, encrypted, or no PPTX file.
        OversizeFileError: it would unpack to more than a document ever is.
    """
    with open_archive(path, "PPTX") as archive:
        refuse_entities(path, archive)
    try:
        return _extract(pptx.Presentation(str(path)))
    except PPTX_ERRORS as error:
        raise damaged(path, "PPTX", error) from error


def _extract(presentation: Presentation) -> Extract:
    builder = TextBuilder()
    # A slide may be listed again and again; nothing makes a second one of it, and no program does that.
    slides = {slide.part.partname: slide for slide in islice(presentation.slides, MAX_MEMBERS)}
    for number, slide in enumerate(slides.values(), start=1):
        builder.page(number)
        _add_slide(slide, builder)
    core = presentation.core_properties
    changed = core.modified.date().isoformat() if core.modified else ""
    return builder.extract({"title": core.title or "", "author": core.author or "", "date": changed})


def _add_slide(slide: Slide, builder: TextBuilder) -> None:
    title = slide.shapes.title
    if title is not None:
        builder.heading(1, title.text_frame.text)
    for shape in _shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if isinstance(shape, Shape):
            builder.paragraph("\n".join(paragraph.text for paragraph in shape.text_frame.paragraphs))
        elif isinstance(shape, GraphicFrame) and shape.has_table:
            builder.block(table_text([cell.text for cell in row.cells] for row in shape.table.rows))
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        builder.paragraph(slide.notes_slide.notes_text_frame.text)


def _shapes(shapes: Iterable[BaseShape]) -> Iterator[BaseShape]:
    """Every shape in drawing order, those inside groups too."""
    for shape in shapes:
        children = getattr(shape, "shapes", None)
        if children is None:
            yield shape
        else:
            yield from _shapes(children)
