"""gevent and eventlet: what docs/known-issues.md says of the greenlets of a monkey-patched process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE = 60.0


@pytest.mark.parametrize("late", [[], ["late"]], ids=["patched first", "patched late"])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_robust_locks_keep_greenlets_apart_and_those_of_multiprocessing_do_not(library, late):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("greenlets.py"), library, *late],
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert json.loads(done.stdout) == {
        "wait_for": "CALCULATING",  # it lets the other greenlets run
        "RLock": [True, "released"],  # both hold it
        "RobustRLock": [False, "released"],  # it belongs to the greenlet
        "RobustRLock, waiting": [[False, True], "released"],  # and who waits for it lets the others run
        "RobustRLock, order": ["in", "out", "second"],
        "RobustRLock, ended": [True, 1],  # as with a thread: the next one gets it, and is told
        "RobustRLock, another process": [True, True, 0],
        "default lock, order": ["in", "out", "second"],
        "Lock": [[False, False], "released"],  # whoever waits for it stops the thread, and the holder with it
        "write, RLock": ["CALCULATING", "released"],  # the write comes in between
        "write, Lock": ["CALCULATING", "released"],
        "threading.RLock": [[False, True], "released"],  # patched: it belongs to the greenlet
        "no switch, RLock": ["IDLE", True],
        "no switch, RobustRLock": ["IDLE", True],
    }
