"""The server of the page: it listens to this machine alone, and serves a page, JSON and images.

Addresses hold names of questions, numbers and texts, and no path of a file: what is read follows
from what was opened, so that no address leads out of it.
"""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from curate.errors import CurateError, InputError, UsageError
from curate.files.addresses import hide_secrets
from curate.files.remedies import carried
from curate.pipelines.browse.answers import ANSWERS, pair_set_of
from curate.pipelines.browse.indexed.columns import DamagedIndexError
from curate.pipelines.browse.pairs import parse_place
from curate.pipelines.browse.session import BusyError, Session
from curate.pipelines.browse.thumbnails import SIZES, Thumbnails
from curate.pipelines.browse.web.guard import Guard
from curate.pipelines.browse.web.page import icon, page_and_policy
from curate.pipelines.views.progress import log

__all__ = ["Server", "make_app"]

_HOST = "127.0.0.1"
_LONGEST_REQUEST = 1 << 16
_SECONDS_TO_START = 20.0
_SECONDS_BEFORE_WARMING = 0.7


def make_app(session: Session, token: str) -> Any:
    """Return the application that answers the page.

    Args:
        session: what is browsed.
        token: that each address begins with.
    """
    thumbnails = Thumbnails()
    content, policy = page_and_policy()

    def page(request: Request) -> Response:
        del request
        return Response(content, media_type="text/html; charset=utf-8",
                        headers={"content-security-policy": policy})  # fmt: skip

    def drawn(request: Request) -> Response:
        del request
        return Response(icon(), media_type="image/svg+xml")

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ANSWERS:
            return _error(404, f"there is no question {name[:40]!r}")
        return _answered(lambda: _json(session, request, name))

    def image(request: Request) -> Response:
        def made() -> Response:
            state = session.state()
            if request.path_params["state"] != state.name:
                return _changed()
            size = request.query_params.get("size") or str(SIZES[0])
            if size not in map(str, SIZES):
                raise UsageError(f"size is {size[:20]!r}; expected one of {SIZES}")
            pairs = pair_set_of(state, {"set": request.path_params["set"]})
            place = parse_place(request.path_params["at"])
            found = thumbnails.image(state.name, pairs, place, int(size))
            kept = {"cache-control": "private, max-age=3600, immutable"}
            return Response(found, media_type="image/jpeg", headers=kept)

        return _answered(made)

    base = f"/{token}"
    routes = [
        Route(f"{base}/", page),
        Route(f"{base}/icon.svg", drawn),
        Route(f"{base}/api/{{name}}", answer),
        Route(f"{base}/image/{{state}}/{{set}}/{{at}}", image),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})
    app.router.redirect_slashes = False
    return Guard(app, token)


def _json(session: Session, request: Request, name: str) -> Response:
    state = session.state()
    asked = dict(request.query_params)
    seen = asked.pop("state", None)
    if seen and seen != state.name:
        return _changed()
    try:
        return JSONResponse({"state": state.name, **ANSWERS[name](state, asked)})
    except DamagedIndexError:
        session.renew(state)
        raise


def _answered(make: Callable[[], Response]) -> Response:
    """Return an answer; of what fails, what it is, and never where in the program."""
    try:
        return make()
    except BusyError as error:
        return JSONResponse({"busy": error.what, "share": error.share}, 503, {"retry-after": "1"})
    except UsageError as error:
        return _error(400, str(error))
    except InputError as error:
        return _error(404, str(error))
    except CurateError as error:
        return _error(409, str(error))
    except OSError as error:
        return _error(409, f"a file cannot be read: {error.strerror or 'it is gone'}")
    except Exception as error:
        log(f"browse: an error of ours, {type(error).__name__}: {error}")
        return _error(500, "something went wrong here; the terminal of `curate browse` says what")


def _error(status: int, words: str) -> Response:
    return JSONResponse({"error": hide_secrets(words)}, status)


def _changed() -> Response:
    words = "the workspace was changed; what the page shows is of before"
    return JSONResponse({"error": words, "changed": True}, 409)


def _not_found(request: Request, error: Exception) -> Response:
    del request, error
    return _error(404, "there is nothing at this address")


class Server:
    """The page of a session, served by a thread.

    Args:
        session: opened.
        port: to listen at; 0 for any that is free.

    Raises:
        CurateError: the port is in use, or may not be used.
    """

    def __init__(self, session: Session, port: int) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(24)
        self._socket = _bound(port)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            make_app(session, self.token), log_config=None, access_log=False, lifespan="off",
            ws="none", http="h11", proxy_headers=False, server_header=False, date_header=False,
            h11_max_incomplete_event_size=_LONGEST_REQUEST, limit_concurrency=256,
            timeout_keep_alive=30, timeout_graceful_shutdown=2,
        )  # fmt: skip
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=carried(self._server.run), args=([self._socket],), daemon=True
        )
        self._is_closing = threading.Event()
        self._warming = threading.Thread(target=carried(self._warm_up), daemon=True)

    @property
    def address(self) -> str:
        """The address of the page, with its token."""
        return f"http://{_HOST}:{self.port}/{self.token}/"

    def start(self) -> None:
        """Begin to serve; returns when the page can be opened.

        Raises:
            CurateError: it does not begin.
        """
        self._thread.start()
        until = time.monotonic() + _SECONDS_TO_START
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise CurateError(f"the server of the page at port {self.port} does not begin")
            time.sleep(0.01)
        self._warming.start()

    def _warm_up(self) -> None:
        """Load what searches need while the first page is looked at, and check the index."""
        if self._is_closing.wait(_SECONDS_BEFORE_WARMING):
            return
        try:
            state = self.session.state()
            if state.index is not None:
                state.index.entries.search("-", num=1)
                self.session.check()
        except Exception as error:  # whoever asks is told
            log(f"browse: {type(error).__name__}: {error}")

    def wait(self) -> None:
        """Serve until the thread ends or somebody interrupts."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """End serving, and put away what is open."""
        self._server.should_exit = True
        self._is_closing.set()
        if self._warming.is_alive():  # it reads what is put away next
            self._warming.join()
        if self._thread.is_alive():
            self._thread.join(10)
        self._socket.close()
        self.session.close()


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((_HOST, port))
    except (OSError, OverflowError) as error:
        made.close()
        why = getattr(error, "strerror", None) or str(error)
        raise CurateError(
            f"--port {port} on {_HOST}: {why}. Choose another one, or leave the option out for one "
            "that is free."
        ) from error
    return made
