"""Work in threads: what pages see of it."""

from threading import Event

import pytest

from index.types import SyncProgress
from rag.errors import GenerationError
from ui import jobs
from ui.jobs import IngestJob, Job


def test_a_job_completes():
    job, ran = Job(), Event()
    assert not job.done
    job.start(ran.set)
    job.wait(5)
    assert ran.is_set()
    assert job.done
    assert job.completed
    assert not job.failed


def test_an_expected_error_is_kept():
    job, error = Job(), GenerationError("too long")

    def work():
        raise error

    job.start(work)
    job.wait(5)
    assert job.failed
    assert job.error is error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_fails_the_job_and_reaches_the_log():
    job = Job()
    job.start(lambda: [][1])
    job.wait(5)
    assert job.failed
    assert job.error is None


def test_pace_is_measured_by_stage(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    job = IngestJob()
    assert job.pace is None
    job.advance(SyncProgress("read", 0, 10, "/a.txt"))
    assert job.pace.rate is None
    now[0] += 2
    job.advance(SyncProgress("read", 4, 10, "/b.txt"))
    assert (job.pace.rate, job.pace.left_s, job.pace.fraction) == (2.0, 3.0, 0.4)
    job.advance(SyncProgress("embed", 256, 512))
    assert job.pace.rate is None
    now[0] += 4
    job.advance(SyncProgress("embed", 512, 512))
    assert (job.pace.rate, job.pace.left_s, job.pace.fraction) == (64.0, 0.0, 1.0)


def test_an_unknown_total_is_no_progress():
    job = IngestJob()
    job.advance(SyncProgress("publish", 0, 0))
    assert job.pace.fraction == 0.0
