"""Members come out of wheels exactly, resume by part, and nothing wrong is kept."""

import hashlib
import importlib.util
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from models.catalog import PackageFile
from models.errors import ChecksumError, DownloadError
from models.fetch import assemble, fetch_parts
from models.progress import Progress, no_report
from tests.models.conftest import MakeWheel

Fetch = Callable[..., list[Path]]


def part(number: int, content: bytes | None = None) -> PackageFile:
    sha256 = None if content is None else hashlib.sha256(content).hexdigest()
    return PackageFile(f"tiny-part{number}", "1.0", f"tiny_part{number}/data.bin", sha256)


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def fetch(tmp_path: Path, downloads: Path) -> Fetch:
    def call(parts: Sequence[PackageFile], total_bytes: int = 1000) -> list[Path]:
        return fetch_parts(
            parts,
            downloads,
            total_bytes=total_bytes,
            wheel_dirs=[tmp_path / "wheels"],
            report=no_report,
        )

    return call


@pytest.fixture
def pip_calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Records the commands that would have reached pip, which then fails as it does without a network."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_parts_are_taken_and_joined(make_wheel: MakeWheel, fetch: Fetch, downloads: Path) -> None:
    contents = [b"first ", b"second"]
    for number, content in enumerate(contents, start=1):
        make_wheel(f"tiny-part{number}", "1.0", {f"tiny_part{number}/data.bin": content})
    parts = fetch([part(1), part(2)])
    whole = downloads / "whole"
    assemble(parts, whole, hashlib.sha256(b"first second").hexdigest(), no_report)
    assert whole.read_bytes() == b"first second"
    assert [path.name for path in downloads.iterdir()] == ["whole"]


def test_local_wheels_are_found_through_the_environment(
    make_wheel: MakeWheel, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"content"})
    monkeypatch.setenv("FUENTE_WHEELS", str(wheel.parent))
    reports: list[Progress] = []
    fetched = fetch_parts([part(1, b"content")], downloads, total_bytes=7, report=reports.append)
    assert fetched[0].read_bytes() == b"content"
    assert [(report.done, report.total) for report in reports] == [(0, 7), (7, 7)]
    assert wheel.exists()


def test_another_version_is_not_taken(make_wheel: MakeWheel, fetch: Fetch, pip_calls: list[list[str]]) -> None:
    make_wheel("tiny-part1", "1.1", {"tiny_part1/data.bin": b"content"})
    with pytest.raises(DownloadError, match=r"tiny-part1==1\.0: ERROR: no network"):
        fetch([part(1)])
    assert len(pip_calls) == 1
    assert "--no-deps" in pip_calls[0]
    assert "--only-binary=:all:" in pip_calls[0]


def test_an_interrupted_fetch_goes_on(
    make_wheel: MakeWheel, fetch: Fetch, downloads: Path, pip_calls: list[list[str]]
) -> None:
    first = make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"first"})
    with pytest.raises(DownloadError):
        fetch([part(1), part(2)])
    assert [path.name for path in downloads.iterdir()] == ["part-001"]
    first.unlink()
    make_wheel("tiny-part2", "1.0", {"tiny_part2/data.bin": b"second"})
    assert [path.read_bytes() for path in fetch([part(1), part(2)])] == [b"first", b"second"]
    assert [call[-1] for call in pip_calls] == ["tiny-part2==1.0"]


def test_a_kept_part_that_was_altered_is_fetched_again(make_wheel: MakeWheel, fetch: Fetch, downloads: Path) -> None:
    make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"content"})
    fetch([part(1, b"content")])
    (downloads / "part-001").write_bytes(b"altered")
    assert fetch([part(1, b"content")])[0].read_bytes() == b"content"


def test_another_file_than_the_published_one_is_refused(make_wheel: MakeWheel, fetch: Fetch, downloads: Path) -> None:
    make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"forged!"})
    with pytest.raises(ChecksumError, match="not the published file"):
        fetch([part(1, b"content")])
    assert list(downloads.iterdir()) == []


def test_a_wrong_whole_is_refused_and_nothing_is_left(make_wheel: MakeWheel, fetch: Fetch, downloads: Path) -> None:
    make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"content"})
    parts = fetch([part(1)])
    with pytest.raises(ChecksumError) as raised:
        assemble(parts, downloads / "whole", "0" * 64, no_report)
    assert raised.value.found == hashlib.sha256(b"content").hexdigest()
    assert list(downloads.iterdir()) == []


def test_a_wheel_without_the_member_is_refused(make_wheel: MakeWheel, fetch: Fetch) -> None:
    make_wheel("tiny-part1", "1.0", {"tiny_part1/other.bin": b"content"})
    with pytest.raises(DownloadError, match=r"lacks tiny_part1/data\.bin"):
        fetch([part(1)])


def test_a_damaged_wheel_is_refused(make_wheel: MakeWheel, fetch: Fetch, downloads: Path) -> None:
    wheel = make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"some content"})
    wheel.write_bytes(wheel.read_bytes().replace(b"some content", b"Some content"))
    with pytest.raises(DownloadError, match="damaged"):
        fetch([part(1)])
    assert list(downloads.iterdir()) == []


def test_a_member_larger_than_announced_is_refused(make_wheel: MakeWheel, fetch: Fetch) -> None:
    make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": bytes(100)})
    with pytest.raises(DownloadError, match="100 bytes, more than the 99"):
        fetch([part(1)], total_bytes=99)


def test_a_missing_wheel_folder_is_named(downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="nowhere"):
        fetch_parts([part(1)], downloads, total_bytes=1, wheel_dirs=[tmp_path / "nowhere"], report=no_report)


def test_a_missing_pip_is_explained(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match="ensurepip"):
        fetch_parts([part(1)], downloads, total_bytes=1, report=no_report)


def test_pip_brings_a_wheel_by_the_users_own_configuration(
    make_wheel: MakeWheel, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("tiny-part1", "1.0", {"tiny_part1/data.bin": b"content"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    fetched = fetch_parts([part(1, b"content")], downloads, total_bytes=7, report=no_report)
    assert fetched[0].read_bytes() == b"content"
    assert [path.name for path in downloads.iterdir()] == ["part-001"]
