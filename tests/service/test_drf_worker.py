"""docs/examples/drf_worker, started as its README says, with requests over real connections on the loopback device."""

import http.client
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "drf_worker"
DEADLINE = 60.0  # seconds, for things that should happen at once
WEB_PROCESSES = 4

sys.path.insert(0, str(EXAMPLE))
from worker_state import JobStatusEnum, WorkerState, WorkerStatusEnum  # noqa: E402

IDLE, CALCULATING, UNAVAILABLE = (
    {"status": member.name}
    for member in (WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING, WorkerStatusEnum.UNAVAILABLE)
)


def until(condition):
    """Call the function until its result is true, and return the result."""
    deadline = time.monotonic() + DEADLINE
    while not (met := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return met


class Service:
    """The service on a free port, in a new session, by which its processes can be found."""

    def __init__(self, directory, *arguments):
        self.log_file = directory / "log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GUNICORN")}
        with self.log_file.open("wb") as log:
            self.master = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", *arguments],
                cwd=EXAMPLE,
                env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self):
        until(lambda: self.found(r"\] ready") or self.master.poll() is not None)
        self.port = until(lambda: self.found(r"Listening at: http://127\.0\.0\.1:(\d+)") or self.master.poll())[0]
        return self

    def __exit__(self, *_):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.master.wait(DEADLINE)
        until(lambda: not self.processes())
        print(self.log())  # pytest shows it if the test fails

    def log(self):
        return self.log_file.read_text()

    def found(self, pattern):
        return re.findall(pattern, self.log())

    def processes(self):
        """Return the live processes of the session. This also finds processes whose parent has died."""
        alive = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == self.master.pid and state not in "ZX":
                alive.append(int(stat.parent.name))
        return alive

    def request(self, method, path, **data):
        """Return the status and content of the response. Each request uses a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=DEADLINE)
        try:
            connection.request(method, path, json.dumps(data), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def post_job(self, seconds):
        return self.request("POST", "/jobs", seconds=seconds)

    def job(self, job_id):
        return self.request("GET", f"/jobs/{job_id}")[1]["status"]

    def status(self):
        return self.request("GET", "/status")[1]["status"]

    def status_in_every_web_process(self):
        """Send many requests at once until each process has answered, and return the set of answers."""
        answers = {}

        def all_have_answered():
            with ThreadPoolExecutor(4 * WEB_PROCESSES) as pool:
                for _, answer in pool.map(lambda _: self.request("GET", "/status"), range(8 * WEB_PROCESSES)):
                    answers[answer["answered_by"]] = answer["status"]
            return len(answers) == WEB_PROCESSES

        until(all_have_answered)
        return set(answers.values())

    def calculation_process(self):
        return int(self.found(r"\[calculation (\d+)\] ready")[-1])


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def new_service(tmp_path):
    with Service(tmp_path) as service:
        yield service


def test_of_hundreds_of_concurrent_requests_exactly_the_accepted_jobs_run_and_one_at_a_time(service):
    start = threading.Barrier(40)

    def scheduler(_):
        start.wait(DEADLINE)
        return [service.post_job(seconds=0.01) for _ in range(12)] + [service.request("GET", "/status")]

    with ThreadPoolExecutor(start.parties) as pool:
        answers = [answer for answers in pool.map(scheduler, range(start.parties)) for answer in answers]
    until(lambda: service.status() == "IDLE")

    accepted = sorted(content["job"] for code, content in answers if code == 202)
    assert len(accepted) > 1
    assert accepted == list(range(1, len(accepted) + 1))
    assert all(content == CALCULATING for code, content in answers if code == 409)
    assert {code for code, _ in answers} <= {200, 202, 409}
    assert {service.job(job_id) for job_id in accepted} == {"DONE"}
    # According to the calculation's log, each job begins once, and ends before the next one begins.
    account = service.found(r"job (\d+) (begins|is \w+)")
    assert account == [(str(job_id), event) for job_id in accepted for event in ("begins", "is DONE")]


def test_a_killed_calculation_process_is_replaced_and_every_web_process_sees_the_same_state(service):
    code, content = service.post_job(seconds=3000)
    assert code == 202
    job_id = content["job"]
    assert service.status_in_every_web_process() == {"CALCULATING"}
    assert service.job(job_id) == "RUNNING"
    until(lambda: service.found(rf"job {job_id} begins"))

    killed = service.calculation_process()
    os.kill(killed, signal.SIGKILL)
    until(lambda: service.calculation_process() != killed)
    assert service.status_in_every_web_process() == {"IDLE"}
    assert service.job(job_id) == "FAILED"

    assert service.post_job(seconds=0) == (202, {"job": job_id + 1})
    until(lambda: service.job(job_id + 1) == "DONE")


def test_what_is_no_job_is_refused_and_changes_nothing(service):
    for seconds in ("soon", -1, None, float("inf")):
        assert service.post_job(seconds)[0] == 400
    assert service.status() == "IDLE"
    assert service.request("GET", "/jobs/0")[0] == 404
    assert service.request("GET", "/jobs/999999")[0] == 404


def test_drained_it_refuses_jobs_and_ends_the_running_one(new_service):
    assert new_service.post_job(seconds=1) == (202, {"job": 1})
    assert new_service.request("POST", "/drain") == (200, UNAVAILABLE)
    assert new_service.post_job(seconds=1) == (503, UNAVAILABLE)
    assert new_service.status_in_every_web_process() == {"UNAVAILABLE"}
    until(lambda: new_service.job(1) == "DONE")
    new_service.master.terminate()
    assert new_service.master.wait(DEADLINE) == 0
    assert new_service.processes() == []


def test_sigterm_ends_the_running_job_and_all_processes(new_service):
    assert new_service.post_job(seconds=1) == (202, {"job": 1})
    new_service.master.terminate()
    assert new_service.master.wait(DEADLINE) == 0
    assert new_service.processes() == []
    assert new_service.found(r"job (\d+) (begins|is \w+)") == [("1", "begins"), ("1", "is DONE")]


def test_a_killed_master_leaves_no_process_once_the_running_job_has_ended(new_service):
    assert new_service.post_job(seconds=1) == (202, {"job": 1})
    new_service.master.kill()
    until(lambda: not new_service.processes())
    assert new_service.found(r"job 1 is (\w+)") == ["DONE"]


def test_with_the_watching_process_killed_no_job_is_accepted_that_nobody_would_do(new_service):
    [stat] = new_service.found(r"\[calculation (\d+)\] ready")
    watching = int(Path(f"/proc/{stat}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(watching, signal.SIGKILL)
    until(lambda: new_service.status() == "UNAVAILABLE")
    assert new_service.post_job(seconds=1) == (503, UNAVAILABLE)


def test_it_refuses_to_start_with_a_state_for_each_web_process(tmp_path):
    (tmp_path / "empty.conf.py").touch()
    options = "--config", tmp_path / "empty.conf.py", "--env", "DJANGO_SETTINGS_MODULE=settings", "api:application"
    service = Service(tmp_path, *options)
    assert service.master.wait(DEADLINE) != 0
    until(lambda: not service.processes())
    assert "each would have a state of its own: start with the gunicorn.conf.py" in service.log()


def die_while_accepting(state):
    with state.lock:
        state.shared_status.set(WorkerStatusEnum.CALCULATING)
        os.kill(os.getpid(), signal.SIGKILL)


def die_while_finishing(state):
    with state.lock:
        state.accept(0)
        state._job(state.job_id.value).set(JobStatusEnum.DONE)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("die", [die_while_accepting, die_while_finishing])
def test_the_state_is_mended_after_a_process_was_killed_in_the_middle_of_a_change(die):
    state = WorkerState()
    process = multiprocessing.get_context("fork").Process(target=die, args=(state,))
    process.start()
    process.join(DEADLINE)
    assert process.exitcode == -signal.SIGKILL
    assert state.status is WorkerStatusEnum.CALCULATING
    found, job_id = state.accept(seconds=1)
    assert found is WorkerStatusEnum.IDLE
    assert state.running_job() == (job_id, 1)


def test_the_ring_of_jobs_forgets_the_oldest():
    state = WorkerState()
    for expected in range(1, 1101):
        found, job_id = state.accept(seconds=0)
        assert (found, job_id) == (WorkerStatusEnum.IDLE, expected)
        assert state.job(job_id) is JobStatusEnum.RUNNING
        assert state.finish(JobStatusEnum.DONE) == job_id
    assert state.finish(JobStatusEnum.FAILED) is None
    known = [job_id for job_id in range(1200) if state.job(job_id) is not None]
    assert known == list(range(101, 1101))
    assert {state.job(job_id) for job_id in known} == {JobStatusEnum.DONE}
