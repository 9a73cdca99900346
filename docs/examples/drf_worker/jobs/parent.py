"""A process ends with the one that started it, should that be killed."""

from __future__ import annotations

import os
import signal
import threading
import time


def end_with(parent: int) -> None:
    """Send this process a SIGTERM as soon as its parent has another id.

    A look at the parent's id works on every Unix. Linux alone could send a signal by
    itself (PR_SET_PDEATHSIG).
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end_with parent", daemon=True).start()
