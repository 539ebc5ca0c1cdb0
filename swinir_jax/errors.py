"""The one exception that means: what the caller gave cannot be used, and the message says why."""


class InputError(ValueError):
    """A file, option or array from the user cannot be used.

    The message is one line that names the culprit; the commands print it without a traceback and exit with 2.
    """
