"""The pages of `wsss tag`, for one person on this machine.

Every request carries the session's token in its path, and this server's own name as its host: a page from elsewhere
knows neither, also where its name is made to lead here (DNS rebinding). Nothing but JSON and pictures depends on what
photos are called.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wsss.core.errors import UserError, WsssError
from wsss.tag.pictures import LARGE, SMALL, Pictures
from wsss.tag.session import Session, parse_changes
from wsss.tag.suggest import FIRST, Suggestions

MOST = 2_000_000
"""Bytes of a request."""
FILES = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "keys.js": ("keys.js", "text/javascript"),
}
"""Our own files, by the last part of their address."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def tag_server(session: Session, suggestions: Suggestions, pictures: Pictures, token: str, port: int) -> ASGIApp:
    """The application below `/TOKEN/`, for requests to this machine's own names at `port`."""
    pages = Pages(session, suggestions, pictures)
    routes = [Route(f"/{name}", _file(*kind)) for name, kind in FILES.items()]
    routes += [
        Route("/state", pages.state),
        Route("/news", pages.news),
        Route("/order", pages.order),
        Route("/small/{number:int}", pages.small),
        Route("/large/{number:int}", pages.large),
        Route("/tag", pages.tag, methods=["POST"]),
        Route("/undo", pages.undo, methods=["POST"]),
        Route("/class", pages.add_class, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={WsssError: _explained}), token, port)


class Guard:
    """Lets only requests pass that come from our own page; every answer gets our `HEADERS`."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app, self.token = app, token.encode()
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.encode(): value.encode() for name, value in HEADERS.items()}
                given = [pair for pair in message["headers"] if pair[0] not in own]
                if not any(name == b"cache-control" for name, _ in given):
                    given.append((b"cache-control", b"no-store"))
                message["headers"] = [*given, *own.items()]
            await send(message)

        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        if not (self._ours(scope) and slash and hmac.compare_digest(first.encode(), self.token)):
            await PlainTextResponse("This page needs the address that wsss tag has printed.", 403)(
                scope, receive, with_headers
            )
            return
        await self.app({**scope, "path": f"/{rest}", "raw_path": None}, receive, with_headers)

    def _ours(self, scope: Scope) -> bool:
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        own = {f"http://{host}" for host in self.hosts}
        return len(hosts) == 1 and hosts[0] in self.hosts and all(origin in own for origin in origins)


class Pages:
    """What the page asks for. Work that waits for the disk is done in threads."""

    def __init__(self, session: Session, suggestions: Suggestions, pictures: Pictures) -> None:
        self.session, self.suggestions, self.pictures = session, suggestions, pictures

    def state(self, request: Request) -> Response:
        """Photos, classes and tags: all that the page begins with."""
        photos = [photo.image for photo in self.session.photos]
        return JSONResponse({"folder": self.session.folder.name, "photos": photos, "tags": self.session.tags()})

    def news(self, request: Request) -> Response:
        """Counts, progress and suggestions; the latter only if they are newer than those of `version`."""
        return JSONResponse(self._news(request.query_params.get("version", "")))

    def order(self, request: Request) -> Response:
        """Numbers of photos in an order: ``alike``, or ``like`` photo `number`."""
        if request.query_params.get("by") == "alike":
            return JSONResponse(self.suggestions.alike())
        text = request.query_params.get("number", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if not 0 <= number < len(self.session.photos):
            raise UserError("order", f"no photo {text[:20]!r}", "load the page again")
        return JSONResponse(self.suggestions.like(number))

    def small(self, request: Request) -> Response:
        """A photo in the grid."""
        return self._picture(request, SMALL)

    def large(self, request: Request) -> Response:
        """A photo to look at."""
        return self._picture(request, LARGE)

    async def tag(self, request: Request) -> Response:
        """Changes of tags; answers when they are on the disk."""
        changes = parse_changes((await _body(request)).get("changes"))
        return await run_in_threadpool(self._changed, lambda: self.session.apply(changes))

    async def undo(self, request: Request) -> Response:
        """Take the last step back."""
        await _body(request)
        return await run_in_threadpool(self._changed, self.session.undo)

    async def add_class(self, request: Request) -> Response:
        """A new class."""
        name = (await _body(request)).get("name")
        if not isinstance(name, str):
            raise UserError("new class", "no name", "type one")
        await run_in_threadpool(self.session.add_class, name)
        return JSONResponse(self._news(""))

    def _picture(self, request: Request, side: int) -> Response:
        number = request.path_params["number"]
        if not 0 <= number < len(self.session.photos):
            return PlainTextResponse("no such photo", 404)
        data = self.pictures.jpeg(self.session.photos[number].image, side)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    def _changed(self, step: Callable[[], list[int]]) -> Response:
        numbers = step()
        tags = self.session.tags()
        return JSONResponse({"tags": {number: tags[number] for number in numbers}, "news": self._news("")})

    def _news(self, version: str) -> dict[str, Any]:
        done, counts = self.session.counts()
        found, hints = self.suggestions, self.suggestions.hints
        news: dict[str, Any] = {
            "classes": [{"name": name, "count": count} for name, count in counts.items()],
            "done": done,
            "undoable": self.session.undoable,
            "seen": found.seen,
            "alike": found.ready,
            "failed": found.failed,
            "first": FIRST,
            "version": hints.version,
        }
        if version != str(hints.version):
            news |= {"likely": hints.likely, "doubtful": hints.doubtful}
        return news


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; `UserError` if it holds none, or too much."""
    wrong = UserError("request", f"expected a JSON object of at most {MOST} bytes", "load the page again")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise wrong
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST:
            raise wrong
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise wrong from error
    if not isinstance(found, dict):
        raise wrong
    return found


async def _explained(request: Request, error: Exception) -> Response:
    """An error as the page shows it: as text."""
    assert isinstance(error, WsssError)
    text = {"where": error.where, "what": error.what, "fix": error.fix}
    return JSONResponse(text, 500 if error.exit_code != UserError.exit_code else 400)


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    """One of our own files, which lie beside this one."""
    data = (Path(__file__).parent / name).read_bytes()
    return lambda request: Response(data, media_type=kind)
