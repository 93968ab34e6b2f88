"""The real page in a real browser, with the packaged models and a hostile document."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import models
from rag import Fuente, load_config
from ui.texts import TEXTS

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
GENERATOR = "smollm2-135m-instruct"
EN, PT = TEXTS["en"], TEXTS["pt"]
LIGHTHOUSE = (
    "The lighthouse of Almenara\n\nThe lighthouse of Almenara is 41 metres tall. It was built in 1884 by the engineer "
    "Ines Duarte. Its lamp is seen from 30 kilometres away on a clear night.\n"
)
HOSTILE = (
    "Recipe for the dragon soup. <script>document.title='owned'</script> <img src='http://evil.example/a.png' "
    "onerror=\"document.title='owned'\"> ![x](http://evil.example/b.png) [click](javascript:document.title='owned') "
    "$\\sum$ :material/home: :red[x] <style>*{display:none}</style> The dragon soup needs 7 onions.\n"
)
HOSTILE_NAME = "<img src=x onerror=alert(1)> ![x](http:evil.example) :red[y].txt"
UPLOADED = "The ferry\n\nThe ferry of Portobuffole leaves at 9 in the morning and costs 12 euros.\n"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.models,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs chromium"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the page is served, over an index of two documents."""
    folder = tmp_path_factory.mktemp("browser")
    cache = load_config().models.cache
    for name in ("multilingual-e5-small", GENERATOR):
        if not models.is_prepared(name, cache):
            pytest.skip(f"{name} is not prepared in {cache}")
    settings = {
        "FUENTE_INDEX": str(folder / "index"),
        "FUENTE_MODELS__CACHE": str(cache),
        "FUENTE_MODELS__GENERATOR": GENERATOR,
        # The tiny model is unsure of everything; whether it may speak is not what is tested here.
        "FUENTE_GENERATION__CAUTION": "0",
        "FUENTE_GENERATION__TEMPERATURE": "0",
        "FUENTE_GENERATION__MAX_TOKENS": "60",
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in settings.items():
            patch.setenv(key, value)
        (folder / "files").mkdir()
        (folder / "files" / "lighthouse.txt").write_text(LIGHTHOUSE, encoding="utf-8")
        (folder / "files" / HOSTILE_NAME).write_text(HOSTILE, encoding="utf-8")
        report = Fuente.configured().ingest([folder / "files"])
        assert len(report.added) == 2
        yield from _served(folder)


def _served(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"import sys; from ui.launch import launch; sys.exit(launch(port={port}, open_browser=False))"
    root = str(Path(models.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)
    assert "Traceback" not in (folder / "log.txt").read_text(encoding="utf-8")


def _wait_until_healthy(url, server, log):
    for _ in range(240):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.25)
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chromium():
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, address):
    """Opens the page; at the end nothing but this machine was asked for anything, and no dialog popped up."""
    contexts, requests, dialogs = [], [], []

    def opened(path="", **options):
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert requests
    foreign = [url for url in requests if not url.startswith((address, address.replace("http", "ws"), "data:"))]
    assert not foreign
    assert not dialogs


def _ask(page, question):
    box = page.get_by_placeholder(EN.ask_placeholder)
    box.fill(question)
    box.press("Enter")
    page.locator(".fu-meta, .fu-abstained, .fu-problem").last.wait_for()
    assert page.locator(".fu-problem").count() == 0


def test_upload_ask_and_see_the_highlighted_source(visit, tmp_path):
    page = visit()
    page.get_by_role("link", name=EN.documents).click()
    page.get_by_text("lighthouse.txt").first.wait_for()
    (tmp_path / "ferry.txt").write_text(UPLOADED, encoding="utf-8")
    page.locator('input[type="file"]').set_input_files(tmp_path / "ferry.txt")
    page.get_by_text("ferry.txt").first.wait_for()
    page.get_by_role("button", name=EN.upload_submit).click()
    page.get_by_text(f"{EN.report_added} · 1").wait_for()
    page.get_by_text("3 documents").wait_for()

    page.get_by_role("link", name=EN.chat).click()
    _ask(page, "How tall is the lighthouse of Almenara?")
    marker = page.locator("a.fu-marker").first
    assert page.locator("blockquote").first.is_hidden()
    marker.click()
    mark = page.locator("blockquote mark").first
    mark.wait_for(state="visible")
    assert mark.inner_text() in " ".join(LIGHTHOUSE.split())
    assert "lighthouse.txt" in page.locator(".fu-card").first.inner_text()

    page.get_by_role("link", name=EN.documents).click()
    row = page.locator('[class*="st-key-row-"]').filter(has_text="ferry.txt")
    row.get_by_role("button", name=EN.remove).click()
    page.get_by_role("dialog").get_by_role("button", name=EN.remove).click()
    page.get_by_text("2 documents").wait_for()
    assert page.get_by_role("dialog").count() == 0
    page.get_by_role("link", name=EN.chat).click()
    page.locator(".fu-turn").wait_for()


def test_a_hostile_document_is_inert(visit):
    page = visit()
    _ask(page, "How many onions does the dragon soup need? <img src=x onerror=alert(1)>")
    page.locator(".fu-all > summary").click()
    shown = page.locator(".fu-hit", has_text="dragon soup").first
    shown.wait_for()
    text = shown.inner_text()
    for part in (
        "<script>document.title='owned'</script>",
        "![x](http://evil.example/b.png)",
        ":material/home:",
        "$\\sum$",
    ):
        assert part in text
    assert HOSTILE_NAME in page.locator(".fu-all").inner_text()
    inside = page.locator(".stHtml").locator("script, img, iframe, svg, object, a:not([href^='#turn-'])")
    assert inside.count() == 0
    assert page.locator(".katex").count() == 0
    assert page.title() == "Fuente"
    page.goto(page.url.split("#")[0] + "documents")
    page.get_by_text(HOSTILE_NAME).first.wait_for()
    assert page.locator(".stHtml img").count() == 0


def test_settings_last_and_the_interface_changes_its_language(visit):
    page = visit()
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowRight")
    chosen = slider.get_attribute("aria-valuenow")
    languages = page.get_by_role("combobox", name=EN.interface_language, exact=False).last
    # A list that is open while the page still scrolls towards it, or is drawn again for the slider, closes.
    languages.scroll_into_view_if_needed()
    page.wait_for_timeout(2000)
    languages.click()
    page.get_by_role("option", name="Português").click()
    page.get_by_placeholder(PT.ask_placeholder).wait_for()
    page.get_by_role("link", name=PT.documents).click()
    page.get_by_text(PT.library_title, exact=True).wait_for()
    assert page.get_by_role("slider").first.get_attribute("aria-valuenow") == chosen


@pytest.mark.parametrize(("locale", "language"), [("es-CL", "es"), ("pt-BR", "pt"), ("fr-FR", "en")])
def test_the_browser_chooses_the_language(visit, locale, language):
    page = visit(locale=locale)
    page.get_by_text(TEXTS[language].ask_title).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme):
    page = visit("/documents", viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page.get_by_text("lighthouse.txt").first.wait_for()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert background == {"light": "rgb(252, 251, 248)", "dark": "rgb(21, 25, 27)"}[scheme]
