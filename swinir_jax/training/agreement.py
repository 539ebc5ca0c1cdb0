"""What the first process of a run finds out for all of them."""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils


def from_first_process(action: Callable[[], float], errors: Sequence[type[Exception]]) -> float:
    """Lets the first process act; all call this alike, and get the same.

    Args:
      action: what the first process does; the others do not.
      errors: that are raised in all processes if the action raises them, so that none waits for the others.

    Returns:
      The action's number, as float32 where there are several processes.
    """
    value, error = math.nan, None
    if jax.process_index() == 0:
        try:
            value = action()
        except tuple(errors) as raised:
            error = raised
    if jax.process_count() > 1:
        kind = [isinstance(error, kind) for kind in (*errors, object)].index(True)
        value, kind = multihost_utils.broadcast_one_to_all(np.array([value, kind], np.float32)).tolist()
        if jax.process_index() and kind < len(errors):
            error = errors[int(kind)]("The first process of this run says what is wrong")
    if error:
        raise error
    return value
