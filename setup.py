"""Says that the Python is too old; pip before 23.1, as Python 3.10 brings it, names some dependency instead."""

import sys

from setuptools import setup

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("swinir-jax needs Python 3.11 or newer, this is {}.{}.".format(*sys.version_info))

setup()
