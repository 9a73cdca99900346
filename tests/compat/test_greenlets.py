"""gevent and eventlet: what docs/known-issues.md says of the greenlets of a monkey-patched process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE = 60.0


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_lock_does_not_keep_greenlets_apart(library):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("greenlets.py"), library],
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert json.loads(done.stdout) == {
        "wait_for": "CALCULATING",  # it lets the other greenlets run
        "RLock": [True, "released"],  # both hold it
        "RobustRLock": [True, "RuntimeError"],  # both hold it, and the first one cannot release it
        "Lock": [[False, False], "released"],  # whoever waits for it stops the thread, and the holder with it
        "write, RLock": ["CALCULATING", "released"],  # the write comes in between
        "write, Lock": ["CALCULATING", "released"],
        "threading.RLock": [[False, True], "released"],  # patched: it belongs to the greenlet
        "no switch, RLock": ["IDLE", True],
        "no switch, RobustRLock": ["IDLE", True],
    }
