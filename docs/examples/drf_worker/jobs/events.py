"""GET /events: server-sent events, out of `aio.changes`."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from jobs.state import WorkerStatusEnum, state
from multiprocessing_intenum import Change, aio, history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ALIVE = 1.0
"""Seconds without a change until the stream says that it is there, and looks whether it
has to end."""

_ending = False


def end_at_shutdown() -> None:
    """Let the streams end when the server gets its signal.

    It waits for open responses, and a stream never ends.

    uvicorn has set its handlers before it imports the application, and they still do
    their work.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        _note(number, signal.getsignal(number))


def _note(number: int, handler: Any) -> None:
    def note(*args: Any) -> None:
        global _ending
        _ending = True
        handler(*args)

    if callable(handler):
        signal.signal(number, note)


@require_safe
async def events(request: HttpRequest) -> HttpResponseBase:
    # No proxy may keep an event back.
    headers = {
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }
    return StreamingHttpResponse(
        _stream(), content_type="text/event-stream", headers=headers
    )


async def _stream() -> AsyncIterator[str]:
    """Yield the last changes in one event, and then each change.

    A client that connects again needs nothing else.

    It takes no lock, so it never blocks the event loop.
    """
    # First, so that no change falls between the two.
    feed = aio.changes(state.shared_status, timeout=ALIVE)
    past = history(state.shared_status)
    yield _event("history", [_data(change) for change in past])
    # The client has gone: the end of the stream, and no error.
    with suppress(asyncio.CancelledError):
        while not _ending:
            async for change in feed:
                if change.number > past[-1].number:
                    yield _event("change", _data(change))
            yield _event("alive", {})


def _data(change: Change[WorkerStatusEnum]) -> dict[str, Any]:
    return {
        "number": change.number,
        "status": change.after.name,
        "since": change.at.isoformat(),
        "pid": change.pid,
    }


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
