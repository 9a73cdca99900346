"""Server-sent events: the text that tells a browser each change of a shared value."""

import asyncio
import enum
import json
from multiprocessing import Process

from multiprocessing_intenum import IntEnumValue, aio, history, last_change


class Status(enum.IntEnum):
    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3


async def events(status, last_id=-1):
    """Yield the events after the one with the number `last_id`.

    It is in the header Last-Event-ID of a request.
    """
    # First, so that no change falls between the history and the feed.
    feed = aio.changes(status)
    if last_id > last_change(status).number:
        # The id is one of an earlier value: the service has been started again.
        last_id = -1
    for change in history(status):
        if change.number > last_id:
            yield text_of(change)
            last_id = change.number
    async for change in feed:
        # By path, 0 says that the value was begun anew.
        if change.number > last_id or change.number == 0:
            yield text_of(change)
            last_id = change.number


def text_of(change):
    data = {"status": change.after.name, "since": change.at.isoformat()}
    return f"id: {change.number}\nevent: status\ndata: {json.dumps(data)}\n\n"


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
