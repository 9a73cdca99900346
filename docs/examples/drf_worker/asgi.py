"""What each web worker imports: `uvicorn --workers 4 asgi:application`."""

import multiprocessing
import os

from django.core.asgi import get_asgi_application

from jobs import events
from jobs.parent import end_with

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
events.end_at_shutdown()

# uvicorn starts its workers with multiprocessing. They would go on for ever if their parent were killed.
if (parent := multiprocessing.parent_process()) is not None:
    end_with(parent.pid)

_django = get_asgi_application()


async def application(scope, receive, send):
    """Django, and a header that tells which worker has answered."""

    async def send_with_process(message):
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message["headers"],
                (b"x-process", str(os.getpid()).encode()),
            ]
        await send(message)

    await _django(scope, receive, send_with_process)
