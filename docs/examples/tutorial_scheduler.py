"""Another component, which knows nothing but the API.

python tutorial_scheduler.py ask PORT ...
python tutorial_scheduler.py submit PORT ...
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def ask(port):
    with urlopen(f"http://127.0.0.1:{port}") as response:
        return f"{port}: {response.read().decode()}"


def submit(port):
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}", method="POST")) as response:
            return response.status, "accepted"
    except HTTPError as error:
        with error:
            return error.code, f"refused: {error.read().decode()}"


if sys.argv[1] == "ask":
    print(*map(ask, sys.argv[2:]), sep="\n")
else:
    with ThreadPoolExecutor(8) as pool:  # eight jobs at the same moment
        answers = list(pool.map(submit, (sys.argv[2:] * 8)[:8]))
    for code, text in sorted(set(answers)):
        print(f"{answers.count((code, text))} of 8: {code} {text}")
