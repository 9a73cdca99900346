"""docs/examples/drf_worker: the whole service over real connections, and a kill -9 of each of its processes."""

import http.client
import json
import random
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import pairwise

import pytest
from drf_service import DEADLINE, EXAMPLE, WEB_WORKERS, Service, until

SERVE, WEB, WORKER, CALCULATION = ("serve.py",), ("web.py",), ("spawn_main",), ("manage.py", "calculate")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def new_service(tmp_path):
    with Service(tmp_path) as service:
        yield service


def assert_one_at_a_time(rows):
    """Each job began after the one before it had ended, as the calculation has written it into the database."""
    done = sorted((row["started"], row["ended"]) for row in rows if row["status"] == "DONE")
    assert all(started <= ended for started, ended in done)
    assert all(ended <= started for (_, ended), (started, _) in pairwise(done))


@contextmanager
def event_stream(service):
    """Open GET /events and yield who answers and an iterator over the events, without those that say "alive"."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=DEADLINE)
    with closing(connection):
        connection.request("GET", "/events")
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield response.headers["x-process"], events_of(response)


def events_of(response):
    lines = (line.decode().rstrip("\n") for line in response)
    for line in lines:
        assert line.startswith("event: ")
        data = json.loads(next(lines).removeprefix("data: "))
        assert next(lines) == ""
        if line != "event: alive":
            yield line.removeprefix("event: "), data


def test_of_hundreds_of_concurrent_requests_exactly_the_accepted_jobs_run_and_one_at_a_time(service):
    start = threading.Barrier(40)

    def scheduler(_):
        start.wait(DEADLINE)
        return [service.post_job(seconds=0.01) for _ in range(12)] + [service.request("GET", "/status")]

    with ThreadPoolExecutor(start.parties) as pool:
        answers = [answer for answers in pool.map(scheduler, range(start.parties)) for answer in answers]
    until(lambda: service.status() == "IDLE")

    accepted = sorted(content["job"] for code, content in answers if code == 202)
    print(f"{len(answers)} requests, {len(accepted)} accepted")
    assert len(accepted) > 1
    assert all(content == {"status": "CALCULATING"} for code, content in answers if code == 409)
    assert {code for code, _ in answers} <= {200, 202, 409}
    rows = service.rows()
    assert [(row["id"], row["status"]) for row in rows] == [(job_id, "DONE") for job_id in accepted]
    assert_one_at_a_time(rows)
    # The calculation's log says so, too: each job begins once, and ends before the next one begins.
    # Its last line may come after the status.
    expected = [(str(job_id), event) for job_id in accepted for event in ("begins", "is DONE")]
    until(lambda: len(service.found(r"job (\d+) (begins|is \w+)")) >= len(expected))
    assert service.found(r"job (\d+) (begins|is \w+)") == expected


def test_all_web_workers_answer_the_same(new_service):
    assert new_service.post_job(seconds=3000) == (202, {"job": 1})
    [answer] = set(new_service.of_every_worker("/status").values())
    answer = json.loads(answer)
    assert (answer.keys(), answer["status"], answer["job"]) == ({"status", "since", "job"}, "CALCULATING", 1)
    until(lambda: new_service.job(1) == "RUNNING")
    [answer] = set(new_service.of_every_worker("/jobs/1").values())
    new_service.kill(*new_service.processes(*CALCULATION))
    until(lambda: new_service.status() == "IDLE")
    until(lambda: new_service.job(1) == "FAILED")
    assert {json.loads(row)["status"] for row in new_service.of_every_worker("/jobs/1").values()} == {"FAILED"}


def test_the_metrics_and_the_health_of_every_web_worker_follow_a_change_by_another_process(new_service):
    for status in ("UNAVAILABLE", "IDLE", "CALCULATING"):
        if status == "CALCULATING":
            new_service.post_job(seconds=3000)
        else:
            assert new_service.run(f"from jobs.state import state; state.status = {status!r}") == 0
        assert states_of_every_worker(new_service) == [status] * WEB_WORKERS
        assert set(new_service.of_every_worker("/healthz").values()) == {f"{status}\n"}
        assert new_service.get("/healthz")[0].status == (503 if status == "UNAVAILABLE" else 200)


def states_of_every_worker(service):
    """Return the state that each web worker tells Prometheus: the one series of three that is 1."""
    states = []
    for text in service.of_every_worker("/metrics").values():
        series = dict(re.findall(r'^worker_status\{worker_status="(\w+)"\} (\S+)$', text, re.MULTILINE))
        assert sorted(series) == ["CALCULATING", "IDLE", "UNAVAILABLE"]
        assert sorted(series.values()) == ["0.0", "0.0", "1.0"]
        states += [name for name, number in series.items() if number == "1.0"]
    return states


def test_what_is_no_job_is_refused_and_changes_nothing(service):
    before = service.request("GET", "/status")
    for seconds in ("soon", -1, None, float("inf")):
        assert service.post_job(seconds)[0] == 400
    assert service.request("POST", "/jobs")[0] == 400
    assert service.request("GET", "/status") == before
    assert service.get("/jobs/0")[0].status == 404
    assert service.get("/jobs/999999")[0].status == 404
    assert service.get("/drain")[0].status == 405


def test_the_page_needs_nothing_from_elsewhere(service):
    response, page = service.get("/")
    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>Worker</title>" in page
    assert "http:" not in page
    assert "https:" not in page


def test_every_web_worker_streams_the_changes_that_another_process_makes(new_service):
    with ExitStack() as stack:
        streams = {}  # by the process that answers

        def one_of_each():
            if len(streams) < WEB_WORKERS:
                process, events = stack.enter_context(event_stream(new_service))
                streams.setdefault(process, events)
            return len(streams) == WEB_WORKERS

        until(one_of_each)
        assert new_service.run("from jobs.state import state; state.status = 'UNAVAILABLE'") == 0
        for events in streams.values():
            assert next(events)[0] == "history"
            name, change = next(events)
            assert (name, change["status"], change["number"]) == ("change", "UNAVAILABLE", 1)


def test_the_event_stream_begins_with_the_last_changes_and_goes_on_with_each_one(service):
    with event_stream(service) as (_, events):
        name, past = next(events)
        assert (name, past[-1]["status"]) == ("history", "IDLE")
        assert past[-1]["since"] == service.request("GET", "/status")[1]["since"]
        service.post_job(seconds=0.1)
        changes = [next(events) for _ in range(2)]
    assert [(name, change["status"]) for name, change in changes] == [("change", "CALCULATING"), ("change", "IDLE")]
    assert [change["number"] for _, change in changes] == [past[-1]["number"] + 1, past[-1]["number"] + 2]


def test_drained_it_refuses_jobs_and_ends_the_running_one(new_service):
    assert new_service.post_job(seconds=3) == (202, {"job": 1})
    code, content = new_service.request("POST", "/drain")
    assert (code, content["status"], content["job"]) == (200, "UNAVAILABLE", 1)
    assert new_service.post_job(seconds=1) == (503, {"status": "UNAVAILABLE"})
    assert set(new_service.of_every_worker("/healthz").values()) == {"UNAVAILABLE\n"}
    until(lambda: new_service.job(1) == "DONE")
    until(lambda: new_service.request("GET", "/status")[1]["job"] is None)
    assert new_service.status() == "UNAVAILABLE"
    new_service.serve.terminate()
    assert new_service.serve.wait(DEADLINE) == 0
    assert new_service.processes() == []


def test_no_job_is_lost_if_a_drain_is_undone_while_a_job_still_runs(new_service):
    assert new_service.post_job(seconds=3) == (202, {"job": 1})
    until(lambda: new_service.job(1) == "RUNNING")
    [calculation] = new_service.processes(*CALCULATION)
    new_service.kill(calculation, signal.SIGSTOP)
    new_service.request("POST", "/drain")
    command = [sys.executable, "-m", "multiprocessing_intenum", "set", str(new_service.directory / "status")]
    subprocess.run([*command, "IDLE", "--expect", "UNAVAILABLE"], timeout=DEADLINE, check=True)
    assert new_service.post_job(seconds=0.2) == (202, {"job": 2})
    new_service.kill(calculation, signal.SIGCONT)
    until(lambda: new_service.status() == "IDLE")
    rows = new_service.rows()
    assert [row["status"] for row in rows] == ["DONE", "DONE"]
    assert_one_at_a_time(rows)


WRITE_CALCULATING = """
from jobs.state import WorkerStatusEnum, state
from multiprocessing_intenum import TransitionError, exchange
for write in (
    lambda: setattr(state, "status", "CALCULATING"),
    lambda: exchange(state.shared_status, WorkerStatusEnum.CALCULATING),
):
    try:
        write()
    except TransitionError as error:
        assert error.allowed == (WorkerStatusEnum.IDLE,)
    else:
        raise SystemExit(2)
"""


def test_no_process_can_put_a_drained_worker_to_work(new_service):
    new_service.request("POST", "/drain")
    before = new_service.request("GET", "/status")
    assert before[1]["status"] == "UNAVAILABLE"
    assert new_service.run(WRITE_CALCULATING) == 0
    assert new_service.request("GET", "/status") == before
    assert new_service.post_job(seconds=0) == (503, {"status": "UNAVAILABLE"})
    assert new_service.run("from jobs.state import state; state.resume()") == 0
    code, content = new_service.post_job(seconds=0)
    assert code == 202
    until(lambda: new_service.job(content["job"]) == "DONE")


def test_the_readme_draws_the_transitions_that_the_code_declares(new_service):
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"^```mermaid\n(.*?)\n```$", readme, re.MULTILINE | re.DOTALL)
    script = "from jobs.state import WorkerStatus; from multiprocessing_intenum import mermaid"
    assert new_service.run(f"{script}; assert mermaid(WorkerStatus) == {drawn!r}") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_the_running_job_the_event_streams_and_all_processes(new_service, number):
    assert new_service.post_job(seconds=3) == (202, {"job": 1})
    with event_stream(new_service) as (_, events):
        assert next(events)[0] == "history"
        new_service.serve.send_signal(number)
        assert [change["status"] for _, change in events] == ["UNAVAILABLE"]  # and then the end of a whole response
    assert new_service.serve.wait(DEADLINE) == 0
    assert new_service.processes() == []
    assert new_service.found(r"job (\d+) (begins|is \w+)") == [("1", "begins"), ("1", "is DONE")]
    assert not new_service.found(r"ERROR|Traceback")


def test_a_second_signal_does_not_wait_for_the_job_which_the_next_start_finds_failed(new_service):
    assert new_service.post_job(seconds=3000) == (202, {"job": 1})
    until(lambda: new_service.job(1) == "RUNNING")
    new_service.serve.terminate()
    until(lambda: new_service.status() == "UNAVAILABLE")
    new_service.serve.terminate()
    assert new_service.serve.wait(DEADLINE) == 0
    assert new_service.processes() == []
    new_service.start()
    new_service.until_ready()
    assert (new_service.status(), new_service.job(1)) == ("IDLE", "FAILED")
    assert new_service.post_job(seconds=0) == (202, {"job": 2})


def test_a_killed_calculation_is_replaced_and_its_job_is_failed(new_service):
    assert new_service.post_job(seconds=3000) == (202, {"job": 1})
    until(lambda: new_service.job(1) == "RUNNING")
    [killed] = new_service.processes(*CALCULATION)
    new_service.kill(killed)
    until(lambda: new_service.job(1) == "FAILED")
    until(lambda: new_service.status() == "IDLE")
    assert killed not in new_service.processes(*CALCULATION)
    assert new_service.post_job(seconds=0) == (202, {"job": 2})
    until(lambda: new_service.job(2) == "DONE")


def test_after_a_kill_of_the_calculation_a_job_is_accepted_before_another_calculation_is_there(new_service):
    assert new_service.post_job(seconds=3000) == (202, {"job": 1})
    until(lambda: new_service.job(1) == "RUNNING")
    new_service.kill(new_service.serve.pid, signal.SIGSTOP)  # so that it starts no other
    assert new_service.post_job(seconds=0) == (409, {"status": "CALCULATING"})
    new_service.kill(*new_service.processes(*CALCULATION))
    until(lambda: not new_service.processes(*CALCULATION))
    assert new_service.post_job(seconds=0) == (202, {"job": 2})
    assert new_service.post_job(seconds=0) == (409, {"status": "CALCULATING"})
    new_service.kill(new_service.serve.pid, signal.SIGCONT)
    until(lambda: new_service.job(2) == "DONE")
    assert new_service.job(1) == "FAILED"


def test_a_calculation_killed_during_the_drain_does_not_hold_it_up(new_service):
    assert new_service.post_job(seconds=3000) == (202, {"job": 1})
    until(lambda: new_service.job(1) == "RUNNING")
    new_service.serve.terminate()
    until(lambda: new_service.status() == "UNAVAILABLE")
    new_service.kill(*new_service.processes(*CALCULATION))
    assert new_service.serve.wait(DEADLINE) == 0
    assert new_service.processes() == []
    assert [row["status"] for row in new_service.rows()] == ["FAILED"]


def test_web_workers_killed_under_load_harm_nobody(new_service):
    answers, over = [], threading.Event()

    def scheduler():
        while not over.is_set():
            with suppress(OSError, http.client.HTTPException, ValueError):  # its worker was killed
                answers.append(new_service.post_job(seconds=0.01))

    threads = [threading.Thread(target=scheduler) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            victim = random.choice(until(lambda: new_service.processes(*WORKER)))
            so_far = len(answers)
            until(lambda so_far=so_far: len(answers) > so_far + 20)
            new_service.kill(victim)
    finally:
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
    until(lambda: new_service.status() == "IDLE")
    until(lambda: len(new_service.processes(*WORKER)) == WEB_WORKERS)
    assert new_service.request("GET", "/status")[1]["job"] is None
    accepted = {content["job"] for code, content in answers if code == 202}
    rows = new_service.rows()
    print(f"{len(answers)} answers, {len(accepted)} accepted, {len(rows)} rows")
    assert len(accepted) > 1
    assert accepted <= {row["id"] for row in rows if row["status"] == "DONE"}
    assert {row["status"] for row in rows} <= {"DONE", "FAILED"}  # failed: of a killed worker, so nobody was told
    assert_one_at_a_time(rows)


def test_a_killed_uvicorn_is_replaced_and_the_running_job_goes_on(new_service):
    assert new_service.post_job(seconds=3) == (202, {"job": 1})
    [killed] = new_service.processes(*WEB)
    workers = set(new_service.processes(*WORKER))
    new_service.kill(killed)
    until(lambda: not workers & set(new_service.processes(*WORKER)))  # the orphans end by themselves
    new_service.until_ready()
    assert killed not in new_service.processes(*WEB)
    until(lambda: new_service.job(1) == "DONE")
    until(lambda: new_service.status() == "IDLE")


def test_a_killed_serve_py_leaves_no_process_once_the_running_job_has_ended(new_service):
    assert new_service.post_job(seconds=1) == (202, {"job": 1})
    new_service.kill(*new_service.processes(*SERVE))
    new_service.serve.wait(DEADLINE)
    until(lambda: not new_service.processes())
    assert [row["status"] for row in new_service.rows()] == ["DONE"]


def test_started_again_while_the_last_job_of_a_killed_service_still_runs_it_knows_of_that_job(new_service):
    assert new_service.post_job(seconds=3) == (202, {"job": 1})
    until(lambda: new_service.job(1) == "RUNNING")
    [calculation] = new_service.processes(*CALCULATION)
    new_service.kill(calculation, signal.SIGSTOP)
    new_service.request("POST", "/drain")
    new_service.kill(*new_service.processes(*SERVE))
    new_service.serve.wait(DEADLINE)
    until(lambda: not new_service.processes(*WEB) and not new_service.processes(*WORKER))
    new_service.start()
    until(new_service.answers)
    assert new_service.post_job(seconds=0)[0] == 409
    with event_stream(new_service) as (_, events):  # the drain was undone, and the worker is busy
        assert [change["status"] for change in next(events)[1]][-3:] == ["UNAVAILABLE", "IDLE", "CALCULATING"]
    assert (new_service.request("GET", "/status")[1]["job"], new_service.job(1)) == (1, "RUNNING")
    new_service.kill(calculation, signal.SIGCONT)
    until(lambda: new_service.job(1) == "DONE")
    until(lambda: new_service.status() == "IDLE")
    new_service.until_ready()
    until(lambda: calculation not in new_service.processes())
    assert new_service.post_job(seconds=0) == (202, {"job": 2})
    until(lambda: new_service.job(2) == "DONE")


DIE = """
import os, signal, django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from jobs import work
from jobs.models import Job
from jobs.state import state
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
"""
AFTER_THE_ROW = """
save = Job.save
def save_and_die(*args, **keywords):
    save(*args, **keywords)
    die()
Job.save = save_and_die
work.accept(3000)
"""


@pytest.mark.parametrize(
    ("moment", "rows"),
    [("Job.save = die\nwork.accept(3000)", []), (AFTER_THE_ROW, ["FAILED"])],
    ids=["after the claim", "after the row"],
)
def test_a_claim_of_a_process_that_was_killed_in_the_middle_is_undone(new_service, moment, rows):
    assert new_service.run(DIE + moment) == -signal.SIGKILL
    until(lambda: new_service.status() == "IDLE")
    assert [row["status"] for row in new_service.rows()] == rows
    code, content = new_service.post_job(seconds=0)
    assert code == 202
    until(lambda: new_service.job(content["job"]) == "DONE")


def test_a_claim_whose_row_can_not_be_written_is_undone(new_service):
    assert new_service.run(DIE + "Job.save = None\nwork.accept(3000)") == 1
    until(lambda: new_service.status() == "IDLE")
    assert new_service.rows() == []


def test_a_job_that_was_accepted_without_a_calculation_is_done_by_the_next_one(new_service):
    [calculation] = new_service.processes(*CALCULATION)
    new_service.kill(calculation, signal.SIGSTOP)
    assert new_service.post_job(seconds=0) == (202, {"job": 1})
    new_service.kill(calculation)
    until(lambda: new_service.job(1) == "DONE")


def test_a_result_is_kept_when_the_calculation_is_killed_just_after_writing_it(new_service):
    new_service.kill(*new_service.processes(*CALCULATION), signal.SIGSTOP)
    assert new_service.post_job(seconds=0) == (202, {"job": 1})
    moment = "job = work.take()\nwork._release = die\nwork.finish(job, Job.Status.DONE)"
    assert new_service.run(DIE + moment) == -signal.SIGKILL
    assert new_service.status() == "IDLE"  # the process that was killed has owned it
    new_service.kill(*new_service.processes(*CALCULATION), signal.SIGCONT)
    until(lambda: new_service.request("GET", "/status")[1]["job"] is None)
    assert (new_service.status(), new_service.job(1)) == ("IDLE", "DONE")
