"""What the tests with real servers need of the system."""

import os

collect_ignore = []
if os.geteuid() != 0:  # only root can start a server that gives up root's rights
    collect_ignore.append("test_gunicorn.py")
