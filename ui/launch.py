"""Starting the interface in a browser."""

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

APP = Path(__file__).with_name("app.py")

# The rest, with the theme, is in .streamlit/config.toml beside the page, which holds however it is started.
# These must hold whatever the environment or a configuration file elsewhere says.
STREAMLIT_OPTIONS: tuple[str, ...] = (
    "--browser.gatherUsageStats=false",
    "--server.fileWatcherType=none",
    "--server.showEmailPrompt=false",
    "--server.enableAgentApi=false",
    "--server.enableXsrfProtection=true",
    "--global.developmentMode=false",
)


def launch(*, index: Path | None = None, host: str = "127.0.0.1", port: int = 8501, open_browser: bool = True) -> int:
    """Serves the interface until it is stopped; the exit status.

    The page reads its configuration like every other part; `index` outranks it.
    """
    # Imported here: it takes a second and most commands do not need it.
    from streamlit.web import cli

    if index is not None:
        os.environ["FUENTE_INDEX"] = str(index.absolute())
    try:
        cli.main(
            ["run", str(APP), *STREAMLIT_OPTIONS, *_options(host, port, open_browser)],
            prog_name="fuente serve",
            standalone_mode=False,
        )
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _options(host: str, port: int, open_browser: bool) -> Iterator[str]:
    yield f"--server.address={host}"
    yield f"--server.port={port}"
    yield f"--server.headless={'false' if open_browser else 'true'}"
    if not _is_local(host):
        # Whoever serves to others decides by which names it is reached.
        yield "--server.allowedHosts=*"


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
