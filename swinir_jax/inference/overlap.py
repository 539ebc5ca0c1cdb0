"""Overlap of reading, restoring and writing, because files keep one core busy and networks the device."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def overlapped(
    items: Sequence[Item],
    read: Callable[[Item], Any],
    restore: Callable[[Item], Any],
    write: Callable[[Item], Result],
    is_alone: Callable[[Item], bool],
) -> Iterator[Callable[[], Result]]:
    """Takes items through three stages: while one is restored, the next one is read and the last one written.

    The items are restored in this thread, which alone receives signals; what is being written at Ctrl-C is finished.

    Args:
      items: items, in order.
      read: first stage of an item.
      restore: second stage; left out if the first one failed.
      write: third stage; left out if another one failed.
      is_alone: whether an item needs all memory, so that nothing overlaps with it.

    Yields:
      For each item, in order, a function that waits for it and returns the result of `write`, or raises the error of
      the stage that failed.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        last: Callable[[], Result] | None = None  # waits for the item before
        reading: Future[Any] | None = None
        for place, item in enumerate(items):
            if last and (is_alone(item) or is_alone(items[place - 1])):
                yield last
                last = None
            mine, reading = reading or reader.submit(read, item), None
            failure: Callable[[], Result] | None = None
            try:
                mine.result()
                if place + 1 < len(items) and not is_alone(item) and not is_alone(items[place + 1]):
                    reading = reader.submit(read, items[place + 1])
                restore(item)
            except Exception as error:
                failure = _raising(error)
            except KeyboardInterrupt:
                if last:
                    yield last
                raise
            if last:
                yield last
            last = failure or writer.submit(write, item).result
        if last:
            yield last


def _raising(error: Exception) -> Callable[[], Any]:
    def outcome() -> None:
        raise error

    return outcome
