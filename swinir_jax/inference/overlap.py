"""Restoration of many items: files keep one core busy while networks keep the devices busy."""

import collections
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def overlapped(
    items: Sequence[Item],
    read: Callable[[Item], Any],
    restore: Callable[[Item], Any],
    write: Callable[[Item], Result],
    *,
    beside: int = 1,
) -> Iterator[Callable[[], Result]]:
    """Takes items through three stages: while one is restored, the next ones are read and the last ones written.

    The items are restored in this thread; what is being written at Ctrl-C is finished.

    Args:
      items: items, in order.
      read: first stage of an item.
      restore: second stage; left out if the first one failed.
      write: third stage; left out if another one failed.
      beside: number of items that are read beside the one being restored, and of those that are written.

    Yields:
      For each item, in order, once it has ended: a function that returns the result of `write`, or raises the error of
      the stage that failed.
    """
    ahead, reading, ending = iter(items), collections.deque[Future[Any]](), collections.deque[Future[Result]]()
    with ThreadPoolExecutor(beside) as reader, ThreadPoolExecutor(beside) as writer:

        def read_ahead() -> None:
            reading.extend(reader.submit(read, item) for item in itertools.islice(ahead, beside - len(reading)))

        try:
            for item in items:
                read_ahead()
                mine, failure = reading.popleft(), None
                try:
                    mine.result()
                    read_ahead()
                    restore(item)
                except Exception as error:
                    failure = _failed(error)
                if len(ending) == beside:
                    yield _ended(ending)
                ending.append(failure or writer.submit(write, item))
            while ending:
                yield _ended(ending)
        except KeyboardInterrupt:
            while ending:
                yield _ended(ending)
            raise


def in_lanes(
    items: Sequence[Item], lanes: Sequence[Callable[[Sequence[Item]], Iterable[Callable[[], Result]]]]
) -> Iterator[Callable[[], Result]]:
    """Divides items among lanes in turn: of n lanes, lane k takes the items k, k + n, ...

    A single lane runs in this thread, which alone receives signals; several have a thread each. At Ctrl-C, these finish
    the items at hand.

    Args:
      items: items, in order.
      lanes: functions such as `overlapped`, of the items alone.

    Yields:
      What the lanes yield, in the order of the items.
    """
    count = len(lanes)
    if count == 1:
        yield from lanes[0](items)
        return
    outcomes: list[Future[Callable[[], Result]]] = [Future() for _ in items]
    stopped = threading.Event()

    def run(k: int) -> None:
        mine = outcomes[k::count]
        try:
            for future, outcome in zip(mine, lanes[k](items[k::count]), strict=True):
                future.set_result(outcome)
                if stopped.is_set():
                    break
        finally:
            for future in mine:
                future.cancel()  # does nothing to those that have a result

    with ThreadPoolExecutor(count) as threads:
        running = [threads.submit(run, k) for k in range(count)]
        waiting = collections.deque(outcomes)
        try:
            while waiting:
                yield waiting[0].result()
                waiting.popleft()
        except KeyboardInterrupt:
            stopped.set()
            wait(running)
            for future in itertools.takewhile(lambda future: not future.cancelled(), waiting):
                yield future.result()
            raise
        except CancelledError:
            for lane in running:
                lane.result()  # raises the error of the lane that broke down
            raise
        finally:
            stopped.set()


def _ended(futures: collections.deque[Future[Result]]) -> Callable[[], Result]:
    """Waits for the first of some futures, and takes it away; at Ctrl-C meanwhile, leaves it."""
    wait([futures[0]])
    return futures.popleft().result


def _failed(error: Exception) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.set_exception(error)
    return failed
