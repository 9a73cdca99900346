"""A FastAPI service: uvicorn --workers 4 fastapi_app:app

All workers share one status. POST /jobs starts a calculation, or is refused.
"""

import enum
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from event_stream import events
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from multiprocessing_intenum import (
    IntEnumValue,
    compare_and_exchange,
    compare_and_set,
    last_change,
    reap,
    snapshot,
    wait_for,
)

SECONDS = float(os.environ.get("SECONDS", "10"))  # of a calculation
HEARTBEAT = float(os.environ.get("HEARTBEAT", "15"))  # of an event stream


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum], unknown="UNAVAILABLE"):
    """The status of the service. What only a newer version knows is UNAVAILABLE."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, WorkerStatus]]:
    path = os.environ.get("WORKER_STATUS", "/run/worker/status")
    yield {"status": WorkerStatus("IDLE", at=path)}


def shared_status(request: Request) -> WorkerStatus:
    return request.state.status


Shared = Annotated[WorkerStatus, Depends(shared_status)]
app = FastAPI(lifespan=lifespan)


class Answer(BaseModel):
    status: WorkerStatusEnum
    since: str


@app.get("/status")
def status(shared: Shared) -> Answer:
    reap(shared, timeout=1)  # CALCULATING is not shown for a worker that was killed
    change = last_change(shared)  # the state, and since when it holds
    return Answer(status=change.after, since=change.at.isoformat())


@app.get("/brief")
async def brief(shared: Shared) -> JSONResponse:
    return JSONResponse({"status": snapshot(shared)})  # {"status": 2}


@app.post("/jobs", status_code=202)
def start(shared: Shared, background: BackgroundTasks) -> None:
    found = compare_and_exchange(
        shared, "IDLE", "CALCULATING", on_death="IDLE", timeout=1
    )
    if found is not WorkerStatusEnum.IDLE:
        raise HTTPException(409, found.name)
    background.add_task(calculate, shared)


def calculate(shared: WorkerStatus) -> None:
    try:  # stands for the calculation, which ends early if somebody sets another state
        with suppress(TimeoutError):
            wait_for(shared, ["IDLE", "UNAVAILABLE"], timeout=SECONDS)
    finally:
        compare_and_set(shared, "CALCULATING", "IDLE")


streams = 0  # how many this process sends now


@app.get("/events")
async def stream(
    shared: Shared, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    async def counted() -> AsyncIterator[str]:
        global streams
        streams += 1
        try:
            async for text in events(shared, last_event_id, HEARTBEAT):
                yield text
        finally:  # the client has gone, or the server stops
            streams -= 1

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)


@app.get("/streams")
async def count_streams() -> tuple[int, int]:
    return os.getpid(), streams
