"""A daemon, which makes the value once DaemonContext has closed all files.

It ends when it is made unavailable.
"""

import daemon

with daemon.DaemonContext():
    from worker_status import status

    from multiprocessing_intenum import compare_and_set, wait_for

    while wait_for(status, ["CALCULATING", "UNAVAILABLE"]).name == "CALCULATING":
        compare_and_set(status, "CALCULATING", "IDLE")  # the result is there
