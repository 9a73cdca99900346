"""What docs/howto/servers.md shows of uWSGI and python-daemon, and says of the descriptors of a value in by-path.md."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from helpers import DEADLINE
from pages import DOCS, ROOT
from path_targets import strangers
from web_server import WebServer, script, until

EXAMPLES = DOCS / "examples"
COMMAND_LINE = [sys.executable, "-m", "multiprocessing_intenum"]


def test_the_settings_of_uwsgi_let_one_of_twenty_claims_win(tmp_path):
    page = (DOCS / "howto" / "servers.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"^```ini\n(\[uwsgi\]\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "uwsgi.ini").write_text(settings)
    command = [script("uwsgi"), "--ini", str(tmp_path / "uwsgi.ini"), "--http-socket", "{socket}"]
    environment = {"WORKER_STATUS": str(tmp_path / "status")}
    with WebServer(tmp_path, [*command, "--virtualenv", sys.prefix], environment, EXAMPLES) as server:
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(server.request, ["POST"] * 20))
        assert sorted(code for code, _ in claims) == [202] + [409] * 19
        assert server.request("GET")[1].startswith("CALCULATING, says process ")
        processes = set()
        until(lambda: processes.add(server.request("GET")[1]) or len(processes) > 1)


def test_the_daemon_works_until_it_is_made_unavailable(tmp_path):
    path = tmp_path / "status"
    environment = os.environ | {"WORKER_STATUS": str(path)}
    program = [sys.executable, EXAMPLES / "daemon_worker.py"]
    subprocess.run(program, env=environment, cwd=ROOT, timeout=DEADLINE, check=True)
    try:
        until(path.exists)
        for command in (
            ["wait", path, "IDLE", "--used", "--timeout", str(DEADLINE)],
            ["set", path, "CALCULATING", "--expect", "IDLE"],
            ["wait", path, "IDLE", "--used", "--timeout", str(DEADLINE)],
        ):
            subprocess.run([*COMMAND_LINE, *command], timeout=2 * DEADLINE, check=True)
    finally:
        subprocess.run([*COMMAND_LINE, "set", path, "UNAVAILABLE"], timeout=DEADLINE, check=True)
        used = [*COMMAND_LINE, "wait", path, "UNAVAILABLE", "--used", "--timeout", "0"]
        until(lambda: subprocess.run(used, timeout=DEADLINE, check=False).returncode == 1)


HOLD = """
def hold(number):
    threads = [threading.Thread(target=status.get_lock().acquire, kwargs={"timeout": 1}) for _ in range(number)]
    with status.get_lock():
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
"""


def test_a_value_has_as_many_descriptors_as_the_page_says(tmp_path):
    path = tmp_path / "status"
    is_of_it = "os.path.exists(link := f'/proc/self/fd/{n}') and os.path.samefile(link, path)"
    count = f"sum({is_of_it} for n in range(256))"
    opened = 1 if sys.version_info >= (3, 13) else 2
    with strangers(1) as [process]:

        def run(line):
            assert process.ask(line) == "None"

        run(f"path = {str(path)!r}")
        run(f"exec({HOLD!r})")
        run("status = WorkerStatus('IDLE', at=path)")
        assert process.ask(count) == str(opened + (os.geteuid() == 0))
        run("status.set('CALCULATING')")
        assert process.ask(count) == str(opened + 1)
        run("hold(3)")
        assert process.ask(count) == str(opened + 4)
        run("hold(3)")
        run("status.set('IDLE')")
        assert process.ask(count) == str(opened + 4)
        run("del status")
        assert process.ask(count) == "0"
