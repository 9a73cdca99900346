"""Several uvicorn server processes share one value: the launcher makes it and passes it to each of them."""

import enum
import multiprocessing
import socket
import urllib.error
import urllib.request

import uvicorn

from multiprocessing_intenum import IntEnumValue, compare_and_exchange


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    """The state of the worker."""


class App:
    """POST claims the worker. The answer is 202, or 409 if another request has claimed it."""

    def __init__(self, status: WorkerStatus) -> None:
        self.status = status

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        code = 200
        if scope["method"] == "POST":
            found = compare_and_exchange(self.status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING)
            code = 202 if found is WorkerStatusEnum.IDLE else 409
        body = self.status.name.encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def serve(status: WorkerStatus, listener: socket.socket) -> None:
    uvicorn.Server(uvicorn.Config(App(status), log_level="warning", lifespan="off")).run(sockets=[listener])


def request(method: str, port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", method=method)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def main() -> None:
    status = WorkerStatus(WorkerStatusEnum.IDLE)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        servers = [multiprocessing.Process(target=serve, args=(status, listener)) for _ in range(3)]
        for server in servers:
            server.start()
        print("GET ", *request("GET", port))
        claims = [request("POST", port) for _ in range(20)]
        print("POST", claims.count((202, "CALCULATING")), "accepted,", claims.count((409, "CALCULATING")), "refused")
        for server in servers:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
