"""What docs/howto/servers.md shows of uWSGI and python-daemon."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from helpers import DEADLINE
from pages import DOCS, ROOT
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
