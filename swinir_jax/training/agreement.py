"""Agreement of the processes of a run on the result of the first process."""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils

from swinir_jax.training.divergence import TrainingError


def from_first_process(action: Callable[[], float], errors: Sequence[type[Exception]]) -> float:
    """Calls a function in the first process and returns the result in all processes, which must all call this.

    Args:
      action: function that only the first process calls.
      errors: types of errors that all processes raise if the action raises them. After any other error, the other
        processes raise `TrainingError`, so that no process waits in vain.

    Returns:
      The result of the action, rounded to float32 if there are several processes.
    """
    value, error = math.nan, None
    if jax.process_index() == 0:
        try:
            value = action()
        except Exception as raised:
            error = raised
    if jax.process_count() > 1:
        kinds = (*errors, Exception, object)  # the last one is for no error
        kind = [isinstance(error, kind) for kind in kinds].index(True)
        value, kind = multihost_utils.broadcast_one_to_all(np.array([value, kind], np.float32)).tolist()
        if jax.process_index() and kind <= len(errors):
            raised_here = (*errors, TrainingError)[int(kind)]
            error = raised_here("The first process of this run failed; its message names the reason")
    if error:
        raise error
    return value
