"""Run a command under a wanted process id: at_pid.py ID COMMAND. Call it in a new PID namespace."""

import os
import sys

wanted = int(sys.argv[1])
while True:
    child = os.fork()
    if not child:
        if os.getpid() == wanted:
            os.execv(sys.argv[2], sys.argv[2:])
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if child >= wanted:
        sys.exit(code if child == wanted else f"the next process has the id {child}, which is behind {wanted}")
