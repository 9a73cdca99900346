"""uvicorn with four web workers, as serve.py starts it. Without serve.py: `uvicorn --workers 4 asgi:application`."""

import argparse
from pathlib import Path

import uvicorn

from jobs.parent import end_with

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--parent",
        type=int,
        required=True,
        help="end when this process, which started it, has ended",
    )
    options = parser.parse_args()
    end_with(options.parent)
    uvicorn.run(
        "asgi:application",
        app_dir=str(Path(__file__).parent),
        host=options.host,
        port=options.port,
        workers=4,
        lifespan="off",  # Django has none
        access_log=False,
        timeout_graceful_shutdown=5,  # seconds; the event streams end in one
    )
