"""What FastAPI and Starlette make of a shared value, of its member and of its name."""

import asyncio
import enum
from contextlib import suppress

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from multiprocessing_intenum import IntEnumValue, snapshot

Status = enum.IntEnum("Status", "UNAVAILABLE IDLE CALCULATING")
status = IntEnumValue(Status.IDLE)
app = FastAPI()


@app.get("/bare")
async def bare():
    return JSONResponse({"status": status})


@app.get("/member")
async def member():
    return JSONResponse({"status": snapshot(status)})


@app.get("/name")
async def name():
    return JSONResponse({"status": status.name})


@app.get("/fastapi")
async def fastapi():
    return {"status": status}  # FastAPI itself makes it json


async def get(path):
    """Ask the application as a server does."""
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    with suppress(TypeError):  # it goes on to the server, which logs it
        await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


for path in ("/bare", "/member", "/name", "/fastapi"):
    print(path, *asyncio.run(get(path)))
