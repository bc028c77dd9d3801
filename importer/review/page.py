"""The page of a review, for a browser on this machine.

Its address carries a secret of this process, which every request repeats; requests that name another host or come from
another site are refused. What the browser gets is HTML made by templates that escape everything, under a policy that
runs this page's own script alone.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import PurePath
from typing import Any

import msgspec
from aiohttp import web
from markupsafe import escape

from importer.report.page import environment
from importer.review.desk import PAGE, STATUSES, Filter, Line
from importer.review.session import Review
from importer.sandbox.dashboard import HOST, PAGE_HEADERS, asset, json_response, port_refused
from importer.wording import counted, iso

_PACKAGE = "importer.review"
_NO_ACCESS = (
    "Open the address that `importer review` printed: it carries a secret, because this page shows customers' data."
)
_LONGEST = 1_000_000
"""Bytes of a request."""
_LOOK = 0.5
"""Seconds between two looks at the time."""
_GOODBYE = 2.0
"""Seconds that the last answers may take."""
_MEANINGS = {"arrived": "arrived", "lost": "did not arrive", "given_up": "given up", "as_is": "sent as it is"}


class _Said(msgspec.Struct, frozen=True):
    """What the page sends: a cell as it is typed, a word about rows, or an answer."""

    no: int = 0
    column: str = ""
    text: str = ""
    """Typed, or looked for."""
    word: str = ""
    numbers: list[int] = []
    """Rows; empty: all that the filter leaves."""
    note: str = ""
    status: str = "open"
    code: str = ""
    yes: bool = False


async def _said(request: web.Request) -> _Said:
    return msgspec.json.decode(await request.read(), type=_Said)


class Page:
    """Answers a browser that knows the secret, about one review."""

    def __init__(self, review: Review, secret: str, finish: Callable[[], None], close: Callable[[], None]) -> None:
        """``finish`` has what was decided done, on another thread; ``close`` ends the page."""
        self._review = review
        self._secret = secret
        self._finish = finish
        self._close = close
        self.last_used = time.monotonic()
        """When the browser asked last, in monotonic seconds."""

    def app(self) -> web.Application:
        """The page as an application."""
        app = web.Application(middlewares=[self._guard], client_max_size=_LONGEST)
        app.add_routes(
            [
                web.get("/", self._show),
                web.get("/review.css", asset(_PACKAGE, "review.css", "text/css")),
                web.get("/review.js", asset(_PACKAGE, "review.js", "text/javascript")),
                web.get("/rows", self._rows),
                web.post("/type", self._type),
                web.post("/like", self._like),
                web.post("/word", self._word),
                web.post("/undo", self._undo),
                web.get("/plan", self._plan),
                web.post("/finish", self._begin),
                web.get("/work", self._work),
                web.post("/answer", self._answer),
                web.post("/close", self._end),
            ]
        )
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        here = host.rpartition(":")[0] in (HOST, "localhost") and origin in (None, f"http://{host}")
        given = request.headers.get("X-Review-Secret") or request.query.get("secret", "")
        open_to_all = request.path in ("/review.css", "/review.js")
        if not here or not (open_to_all or secrets.compare_digest(given.encode(), self._secret.encode())):
            return web.Response(status=403, text=_NO_ACCESS, headers=PAGE_HEADERS)
        self.last_used = time.monotonic()
        if self._review.work.active and request.path in ("/type", "/like", "/word", "/undo"):
            return web.Response(status=409, text="wait until what was decided is done", headers=PAGE_HEADERS)
        try:
            return await handler(request)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return web.Response(status=400, text="this is no request of the page", headers=PAGE_HEADERS)

    # What it shows

    async def _show(self, _: web.Request) -> web.Response:
        counts = self._review.desk.counts()
        chosen = Filter(next((name for name in STATUSES if counts[name]), "open"))
        return await self._html("page.html", **self._list(chosen, 0), **self._bar())

    async def _rows(self, request: web.Request) -> web.Response:
        query = request.query
        status = query.get("status", "open")
        chosen = Filter(status if status in STATUSES else "open", query.get("code", ""), query.get("text", "").strip())
        after = query.get("after", "0")
        found = self._list(chosen, int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0)
        return json_response(
            {"list": self._render("list.html", **found), "bar": self._render("bar.html", **self._bar())}
        )

    def _list(self, chosen: Filter, after: int) -> dict[str, Any]:
        desk = self._review.desk
        lines = desk.page(chosen, after)
        counted_like = cache(desk.count_like)
        return {
            "review": self._review,
            "chosen": chosen,
            "lines": [_Shown(line, self._review, counted_like) for line in lines],
            "total": desk.count(chosen),
            "after": after,
            "next": lines[-1].no if len(lines) == PAGE else None,
            "codes": desk.codes(chosen.status),
        }

    def _bar(self) -> dict[str, Any]:
        desk = self._review.desk
        counts, decided = desk.counts(), desk.decided()
        return {
            "counts": counts,
            "statuses": STATUSES,
            "decided": decided,
            "can_undo": desk.can_undo(),
            "waiting": self._review.waiting,
            "can_finish": bool(counts["ready"] or counts["given_up"] or decided or self._review.waiting),
        }

    # What is typed

    async def _type(self, request: web.Request) -> web.Response:
        typed = await _said(request)
        lines = await asyncio.to_thread(self._review.type_cell, typed.no, typed.column, typed.text)
        seen = [_Shown(line, self._review, self._review.desk.count_like) for line in lines[:PAGE]]
        like = next((one.like(typed.column) for one in seen if one.line.no == typed.no), 0)
        verdicts = {one.line.no: self._render("verdict.html", one=one) for one in seen}
        return json_response({"verdicts": verdicts, "like": like, "bar": self._render("bar.html", **self._bar())})

    async def _like(self, request: web.Request) -> web.Response:
        wanted = await _said(request)
        review = self._review
        line = review.desk.line(wanted.no)
        before = line.content.cell(review.desk.forms[line.form], wanted.column) or ""
        text = line.edits.get(wanted.column, before)
        count = await asyncio.to_thread(review.type_like, wanted.column, before, text)
        return self._answered(f"{counted(count, 'row')} more changed")

    async def _word(self, request: web.Request) -> web.Response:
        said = await _said(request)
        if said.word not in ("", *_MEANINGS):
            raise ValueError(said.word)
        desk = self._review.desk
        numbers = said.numbers or desk.matching(Filter(said.status, said.code, said.text))
        if said.word in ("given_up", "as_is", ""):
            numbers = [line.no for line in desk.lines(numbers[:1])] if len(numbers) == 1 else numbers
        await asyncio.to_thread(self._review.word, numbers, f"{said.word} {said.note.strip()}".strip())
        return self._answered(f"{counted(len(numbers), 'row')}: {_MEANINGS.get(said.word, 'open again')}")

    async def _undo(self, _: web.Request) -> web.Response:
        count = await asyncio.to_thread(self._review.undo)
        return self._answered(f"taken back in {counted(count, 'row')}")

    def _answered(self, words: str) -> web.Response:
        return json_response({"said": words, "bar": self._render("bar.html", **self._bar())})

    # What is done in the end

    async def _plan(self, _: web.Request) -> web.Response:
        return await self._html("plan.html", review=self._review, **self._bar())

    async def _begin(self, request: web.Request) -> web.Response:
        if not self._review.work.active:
            self._review.work.begin()
            self._finish()
        return await self._work(request)

    async def _answer(self, request: web.Request) -> web.Response:
        self._review.work.answer(yes=(await _said(request)).yes)
        return await self._work(request)

    async def _work(self, _: web.Request) -> web.Response:
        work = self._review.work
        done = self._review.is_done and not work.active and not work.error
        shown_work = self._render("work.html", review=self._review, work=work, done=done)
        if done:
            self._close()
        return json_response(
            {"active": work.active, "asks": work.forecast is not None, "done": done, "html": shown_work}
        )

    async def _end(self, _: web.Request) -> web.Response:
        self._close()
        return self._answered("This page is closed; what you typed is kept.")

    async def _html(self, name: str, **values: Any) -> web.Response:
        return web.Response(text=self._render(name, **values), content_type="text/html", headers=PAGE_HEADERS)

    def _render(self, name: str, **values: Any) -> str:
        return _TEMPLATES.get_template(name).render(**values)


class _Shown:
    """A row as the templates show it."""

    def __init__(self, line: Line, review: Review, count_like: Callable[[str, str], int]) -> None:
        self.line = line
        self.form = review.desk.forms[line.form]
        self._count_like = count_like
        cells = line.content.cells(self.form, review.mapped)
        at_fault = dict.fromkeys(column for one in line.problems if one.is_error for column in one.columns)
        wanted = dict.fromkeys([*at_fault, *line.edits])
        self.bad = [(name, line.edits.get(name, cells[name]), cells[name]) for name in wanted if name in cells]
        self.others = [(name, text, text) for name, text in cells.items() if name not in wanted]
        self.meaning = _MEANINGS.get(line.word, "")

    def like(self, column: str) -> int:
        """How many other rows have the same bad text in that column."""
        before = self.line.content.cell(self.form, column) or ""
        own = column not in self.line.edits
        return max(0, self._count_like(column, before) - own) if before or not own else 0


_TEMPLATES = environment(_PACKAGE, {"exact": escape, "iso": iso, "file_name": lambda name: PurePath(name).name or name})


def serve(review: Review, *, port: int, idle: float, opened: Callable[[str], None]) -> None:
    """Show the page until it is closed, everything is done, or it was not used for ``idle`` seconds.

    ``opened`` gets its address. Ctrl-C ends it; what was typed is kept. Raises `UsageError` if the port is taken.
    """
    jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
    secret = secrets.token_urlsafe(24)
    page = Page(review, secret, lambda: jobs.put(review.finish), lambda: jobs.put(None))

    def is_abandoned() -> bool:
        return time.monotonic() - page.last_used > idle

    review.work.is_abandoned = is_abandoned
    with _listening(page.app(), port) as address, suppress(KeyboardInterrupt):
        opened(f"{address}?secret={secret}")
        while not is_abandoned():
            try:
                job = jobs.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if job is None:
                break
            job()


@contextmanager
def _listening(app: web.Application, port: int) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="page", daemon=True)
    thread.start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
        return int(runner.addresses[0][1])

    try:
        try:
            found = asyncio.run_coroutine_threadsafe(start(), loop).result()
        except OSError as problem:
            raise port_refused(port, problem) from problem
        yield f"http://{HOST}:{found}/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
