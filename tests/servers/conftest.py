"""What the tests with real servers need of the system."""

import os

collect_ignore = []
if os.geteuid() != 0:  # only root can give up rights of root
    collect_ignore += ["test_gunicorn.py", "test_rights.py"]
