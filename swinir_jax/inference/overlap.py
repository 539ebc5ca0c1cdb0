"""Restoration of many items: files keep one core busy while networks keep the devices busy."""

import collections
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
GetResult = Callable[[], Result]
"""Returns the result of an item, or raises the error of the stage that failed."""
Lane = Callable[[Sequence[Item], Callable[[], bool]], Iterable[tuple[Item, GetResult[Result]]]]
"""`overlapped` as a function of the items and of `stopped`."""


def never() -> bool:
    """Never stops."""
    return False


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Any],
    restore: Callable[[Item], Any],
    write: Callable[[Item], Result],
    *,
    beside: int = 1,
    stopped: Callable[[], bool] = never,
) -> Iterator[tuple[Item, GetResult[Result]]]:
    """Takes items through three stages: while one is restored, the next ones are read and the last ones written.

    The items are restored in this thread; what is being written at Ctrl-C is finished.

    Args:
      items: items, in order.
      read: first stage of an item.
      restore: second stage; left out if the first one failed.
      write: third stage; left out if another one failed.
      beside: number of items that are read beside the one being restored, and of those that are written.
      stopped: whether to restore no further item.

    Yields:
      Each item, in order, once it has ended, and a function that returns the result of `write`, or raises the error of
      the stage that failed.
    """
    ahead = iter(items)
    reading, ending = collections.deque[tuple[Item, Future[Any]]](), collections.deque[tuple[Item, Future[Result]]]()
    with ThreadPoolExecutor(beside) as reader, ThreadPoolExecutor(beside) as writer:

        def read_ahead() -> None:
            reading.extend((item, reader.submit(read, item)) for item in itertools.islice(ahead, beside - len(reading)))

        try:
            read_ahead()
            while reading and not stopped():
                item, mine = reading.popleft()
                wait([mine])
                read_ahead()
                failure = None
                try:
                    mine.result()
                    restore(item)
                except Exception as error:
                    failure = _failed(error)
                if len(ending) == beside:
                    yield _ended(ending)
                ending.append((item, failure or writer.submit(write, item)))
            while ending:
                yield _ended(ending)
        except KeyboardInterrupt:
            while ending:
                yield _ended(ending)
            raise


def in_lanes(items: Sequence[Item], lanes: Sequence[Lane[Item, Result]]) -> Iterator[tuple[Item, GetResult[Result]]]:
    """Divides items among lanes in turn: of n lanes, lane k takes the items k, k + n, ...

    A single lane runs in this thread, which alone receives signals; several have a thread each. At Ctrl-C, these finish
    the items at hand.

    Args:
      items: items, in order.
      lanes: functions such as `overlapped`, of the items and of `stopped` alone.

    Yields:
      What the lanes yield, in the order of the items.
    """
    count = len(lanes)
    if count == 1:
        yield from lanes[0](items, never)
        return
    waiting = collections.deque[Future[tuple[Item, GetResult[Result]]]](Future() for _ in items)
    unsettled = [collections.deque([*waiting][k::count]) for k in range(count)]  # of each lane
    stopped = threading.Event()

    def run(k: int) -> None:
        mine = unsettled[k]
        try:
            for ended in lanes[k](items[k::count], stopped.is_set):
                mine.popleft().set_result(ended)
        finally:
            while mine:
                mine.popleft().cancel()

    with ThreadPoolExecutor(count) as threads:
        running = [threads.submit(run, k) for k in range(count)]
        try:
            while waiting:
                ended = waiting[0].result()
                waiting.popleft()
                yield ended
        except KeyboardInterrupt:
            stopped.set()
            wait(running)
            while waiting:
                future = waiting.popleft()
                if not future.cancelled():
                    yield future.result()
            raise
        except CancelledError:
            for lane in running:
                lane.result()  # raises the error of the lane that broke down
            raise
        finally:
            stopped.set()


def _ended(ending: collections.deque[tuple[Item, Future[Result]]]) -> tuple[Item, GetResult[Result]]:
    """Waits for the first of some items, and takes it away; at Ctrl-C meanwhile, leaves it."""
    wait([ending[0][1]])
    item, future = ending.popleft()
    return item, future.result


def _failed(error: Exception) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.set_exception(error)
    return failed
