"""What is browsed, opened; and opened anew when the workspace changes under it.

Each answer comes from one state of the workspace. Its plans are looked at before every answer:
where `match`, `retract` or `balance` changed something, the old state is put away, a thread opens
the new one, and whoever asks meanwhile is told how far that is. Nothing is written into the
workspace.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from curate.errors import ArtifactError, CurateError
from curate.files.remedies import carried
from curate.pipelines.browse.places import Place
from curate.pipelines.browse.state import State, look, open_state
from curate.pipelines.views.progress import log

__all__ = ["BusyError", "Session"]


class BusyError(CurateError):
    """What is browsed is being opened.

    Attributes:
        what: that is made.
        share: of it that is done, 0 to 1.
    """

    def __init__(self, what: str, share: float) -> None:
        super().__init__(f"the index is being made: {what}, {share:.0%}")
        self.what, self.share = what, share


class Session:
    """A place that is browsed for a while.

    Args:
        place: that is browsed.
        image_roots: folders that images may be read from, as the user named them.
        filters: that the balanced set was made with, as the user named them again.
    """

    def __init__(
        self, place: Place, image_roots: Sequence[str] = (), filters: Sequence[str] = ()
    ) -> None:
        self.place = place
        self._image_roots, self._filters = tuple(image_roots), tuple(filters)
        self._state: State | None = None
        self._seen: tuple[Any, ...] = ()
        self._failed: tuple[tuple[Any, ...], CurateError] | None = None
        self._progress = ("beginning", 0.0)
        self._opening: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self, progressed: Callable[[str, float], None] | None = None) -> State:
        """Open what is browsed, and make its index if there is none.

        Raises:
            CurateError: it cannot be browsed.
        """
        seen = look(self.place)
        state = open_state(
            self.place, self._image_roots, self._filters, progressed or (lambda _what, _share: None)
        )
        with self._lock:
            self._state, self._seen = state, seen
        return state

    def state(self) -> State:
        """Return what is browsed as it is now.

        Raises:
            BusyError: it was changed, and is being opened anew.
            CurateError: it was changed, and cannot be browsed any more.
        """
        seen = look(self.place)
        with self._lock:
            if self._state is not None and seen == self._seen:
                return self._state
            if self._failed is not None and self._failed[0] == seen:
                raise self._failed[1].with_traceback(None)  # it is raised at each question
            if self._opening is None or not self._opening.is_alive():
                self._progress = ("beginning", 0.0)
                self._opening = threading.Thread(
                    target=carried(self._reopen), args=(seen,), daemon=True
                )
                self._opening.start()
            raise BusyError(*self._progress)

    def check(self) -> None:
        """Compare the index with what was written, and have a damaged one made anew."""
        state = self.state()
        if state.index is not None and not state.index.is_whole():
            self.renew(state)

    def renew(self, state: State) -> None:
        """Have the index of a state made anew, which is damaged; the next who asks waits for it."""
        with self._lock:
            if self._state is not state or state.index is None:
                return  # somebody else has seen it
            log(f"{self.place.path}: the index for browsing is damaged; it is made anew")
            state.index.forget()
            self._state = None

    def close(self) -> None:
        """Put away what is open."""
        with self._lock:
            if self._state is not None and self._state.index is not None:
                self._state.index.close()
            self._state = None

    def _reopen(self, seen: tuple[Any, ...]) -> None:
        def progressed(what: str, share: float) -> None:
            self._progress = (what, share)

        try:
            state = open_state(self.place, self._image_roots, self._filters, progressed)
        except CurateError as error:
            with self._lock:
                self._failed = (seen, error)
                self._state = None
            return
        except Exception as error:  # files that vanish while they are opened, and whatever they are
            what = f"{self.place.path}: cannot be opened ({type(error).__name__}: {error})"
            with self._lock:
                self._failed = (seen, ArtifactError(what))
                self._state = None
            return
        with self._lock:  # the old one goes when the last who reads it is done
            self._state, self._seen, self._failed = state, seen, None
