"""An OpenAI-compatible server that misbehaves on request: real HTTP on a local port, in a thread of its own.

What it does with a chat completion is decided by a function from the request's JSON to a `Reply`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Reply:
    """What to answer: texts, or a status that is no success, after a wait."""

    texts: tuple[str, ...] = ("Which vitamin helps the body absorb iron?",)
    finish_reason: str = "stop"
    status: int = 200
    error: str = "the fake server was told to fail"
    wait: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fake:
    """A running server: its address, the model it serves, and every chat request it received."""

    reply: Callable[[dict[str, Any]], Reply]
    model: str = "fake-model"
    fingerprint: str | None = "fp_fake"
    answers_as: str | None = None  # the model's name in answers, if it is another one
    root: str = "/models/fake"  # what its list says is behind the name
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    most_in_flight: int = 0
    in_flight: int = 0

    def asked(self) -> list[dict[str, Any]]:
        """The requests without the preflight."""
        return [request for request in self.requests if request["messages"][-1]["content"] != "Name one vitamin."]


@contextmanager
def fake_server(reply: Callable[[dict[str, Any]], Reply], **settings: Any) -> Iterator[Fake]:
    """Run a fake server while the block runs."""
    fake = Fake(reply, **settings)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    thread = threading.Thread(target=_serve, args=(fake, loop, ready))
    thread.start()
    ready.wait()
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _serve(fake: Fake, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
    asyncio.set_event_loop(loop)

    async def models(_: web.Request) -> web.Response:
        entry = {"id": fake.model, "object": "model", "created": 0, "owned_by": "fake", "max_model_len": 2048}
        entry["root"] = fake.root
        return web.json_response({"object": "list", "data": [entry]})

    async def completions(request: web.Request) -> web.Response:
        body = await request.json()
        fake.requests.append(body)
        fake.keys.append(request.headers.get("Authorization", ""))
        fake.in_flight += 1
        fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
        try:
            reply = fake.reply(body)
            await asyncio.sleep(reply.wait)
        finally:
            fake.in_flight -= 1
        if reply.status != 200:
            error = {"error": {"message": reply.error, "type": "fake"}}
            return web.json_response(error, status=reply.status, headers=reply.headers)
        return web.json_response(_completion(fake, body, reply))

    async def start() -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", completions)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    runner = loop.run_until_complete(start())
    ready.set()
    loop.run_forever()
    loop.run_until_complete(runner.cleanup())
    for task in (left := asyncio.all_tasks(loop)):
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


def _completion(fake: Fake, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "finish_reason": reply.finish_reason,
            "message": {"role": "assistant", "content": reply.texts[index % len(reply.texts)]},
        }
        for index in range(body.get("n", 1))
    ]
    usage = {"prompt_tokens": 1, "completion_tokens": len(choices), "total_tokens": 1 + len(choices)}
    head = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": fake.answers_as or fake.model,
        "system_fingerprint": fake.fingerprint,
    }
    return head | {"choices": choices, "usage": usage}
