"""One process of the API: GET asks for the state, POST submits a job.

python tutorial_api.py PORT
"""

import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tutorial_status import status

from multiprocessing_intenum import compare_and_exchange, reap

CODES = {"IDLE": 202, "CALCULATING": 409}  # Accepted, Conflict


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, reap(status).name)  # looks first whether the owner lives

    def do_POST(self):
        found = compare_and_exchange(status, "IDLE", "CALCULATING", timeout=1.0)
        self.answer(CODES.get(found.name, 503), found.name)  # 503: Unavailable

    def answer(self, code, text):
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("serving; the worker is", status.name, flush=True)
with suppress(KeyboardInterrupt):
    server.serve_forever()
