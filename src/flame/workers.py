"""Work spread over processes of one machine, with events on the way; same results for any number of processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import Any, Self, TypeVar

from threadpoolctl import threadpool_limits

from flame.errors import EngineError

__all__ = ["Crew", "Emit", "follow_parent", "run"]

Emit = Callable[[Any], None]
Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_events: Any = None


def follow_parent() -> None:
    """Give this worker process one thread, and let it end with its parent, even when the parent was killed."""
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))  # libraries read them when they are loaded
    threadpool_limits(1)  # and those that are loaded already
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _begin(events: Any) -> None:
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it ends the workers
    globals()["_events"] = events


def _call(work: Callable[[Item, Emit], Result], item: Item) -> Result:
    return work(item, _events.put)


def run(
    work: Callable[[Item, Emit], Result],
    items: Sequence[Item],
    processes: int,
    on_event: Emit = lambda _: None,
) -> list[Result]:
    """One `Crew.run` by a crew of no more processes than there are items."""
    with Crew(min(processes, len(items))) as crew:
        return crew.run(work, items, on_event)


class Crew:
    """Worker processes, each with one thread, that do one task after the other; a context that ends them.

    They are started when they are first needed, and load what they use once for all tasks.
    """

    def __init__(self, processes: int) -> None:
        """processes: number of worker processes; 1 means no new process at all."""
        self._processes = processes
        self._executor: ProcessPoolExecutor | None = None
        self._events: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._executor is None:
            return
        if kind is not None:
            for child in multiprocessing.active_children():
                child.terminate()
        self._executor.shutdown(cancel_futures=True)

    def run(
        self, work: Callable[[Item, Emit], Result], items: Sequence[Item], on_event: Emit = lambda _: None
    ) -> list[Result]:
        """Apply `work` to each item and return the results in the order of `items`.

        Args:
            work: a module-level function of an item and of `emit`, which sends an event (anything picklable) to
                `on_event`.
            items: what to work on; picklable.
            on_event: called in this process, in the order in which events arrive.

        Raises:
            EngineError: if a worker process was killed from outside, e.g. because memory ran out.
            Exception: the first one that `work` raised; leave the context then, it ends the other workers.
        """
        if self._processes <= 1 or len(items) <= 1:
            return [work(item, on_event) for item in items]
        try:
            executor = self._started()
            futures = [executor.submit(_call, work, item) for item in items]
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                _drain(self._events, on_event)
                for future in done:
                    future.result()
            _drain(self._events, on_event)
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise EngineError(
                "A worker process was ended from outside; most often the machine ran out of memory",
                "Close other programs or use fewer processes, then start the same command again; it goes on then.",
            ) from error

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            spawn = multiprocessing.get_context("spawn")
            self._events = spawn.SimpleQueue()  # an event is in it before the result that follows it
            self._executor = ProcessPoolExecutor(self._processes, spawn, _begin, (self._events,))
        return self._executor


def _drain(events: Any, on_event: Emit) -> None:
    while not events.empty():
        on_event(events.get())
