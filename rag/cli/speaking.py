"""Speech on the command line: answers as sound, and recordings as text."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from rag.cli.options import app, configured
from rag.cli.rendering import notes, out, plain
from rag.speech.dictation import MOST_S
from rag.speech.sound import read_wav
from rag.speech.voices import Voice, said
from rag.types import Answer

AloudOption = Annotated[
    Path | None,
    typer.Option("--aloud", metavar="FILE.wav", help="Also write the answer as sound; speech.voice says by whom."),
]


def write_aloud(answer: Answer, voice: Voice, path: Path) -> None:
    """Writes an answer as a WAV file."""
    sound = voice.speak(*said(answer))
    path.write_bytes(sound.wav())
    notes.print(Text(f"{plain(str(path))}: {sound.seconds:.1f} s of speech", style="dim"))


@app.command(epilog='Example: fuente transcribe question.wav, or: fuente ask "$(fuente transcribe question.wav)"')
def transcribe(recording: Annotated[Path, typer.Argument(help=f"A WAV file of {MOST_S:.0f} s at most.")]) -> None:
    """Write down a spoken question, by the model that speech.recognizer names."""
    sound = read_wav(recording.read_bytes(), most_s=MOST_S)
    out.print(Text(plain(configured(None).media.recognizer.text(sound))))
