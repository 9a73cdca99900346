"""Server-sent events: the text that tells a browser each change of a shared value."""

import asyncio
import enum
import json
from multiprocessing import Process

from multiprocessing_intenum import IntEnumValue, aio, history


class Status(enum.IntEnum):
    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3


async def events(status, last_id=None, heartbeat=15.0):
    """Yield the last changes, those after `last_id` only, and then each change.

    Args:
        status: the shared value.
        last_id: the header Last-Event-ID of the request, or None.
        heartbeat: seconds without a change after which a comment is sent.
    """
    feed = aio.changes(status, timeout=heartbeat)  # first, so that no change
    past = history(status)  # falls between the feed and the history
    ids = [id_of(change) for change in past]
    known = ids.index(last_id) + 1 if last_id in ids else 0
    for change in past[known:]:
        yield text_of(change)
    while True:
        async for change in feed:
            if id_of(change) not in ids:
                yield text_of(change)
        yield ": no change\n\n"  # clients ignore a comment


def id_of(change):
    """Return a text that no other change has, also after the value was begun anew."""
    return f"{change.number}-{change.at.timestamp():.6f}"


def text_of(change):
    data = {"status": change.after.name, "since": change.at.isoformat()}
    return f"id: {id_of(change)}\nevent: status\ndata: {json.dumps(data)}\n\n"


def work(status):
    for name in ("CALCULATING", "IDLE", "UNAVAILABLE"):
        status.set(name)


async def main():
    status = IntEnumValue(Status.IDLE)
    Process(target=work, args=(status,)).start()
    async for text in events(status):  # a server would send the text to the client
        print(text, end="")
        if "UNAVAILABLE" in text:
            break
    print("the client closes the stream")


if __name__ == "__main__":
    asyncio.run(main())
