"""Readme of the package for an index, and a plain message where the Python is too old.

pip before 23.1, as Python 3.10 brings it, names some dependency in place of the Python.
"""

import re
import sys
from pathlib import Path

from setuptools import setup

if sys.version_info < (3, 11):  # noqa: UP036  # pip runs this file before it looks at requires-python
    sys.exit("swinir-jax needs Python 3.11 or newer, this is {}.{}.".format(*sys.version_info))

LINK = re.compile(r"(!?)\[([^][]*)\]\((?!\w+:|#)([^)\s]+)\)")  # [text](path) and ![text](path)


def readme_for_index() -> str:
    """Returns README.md with addresses in place of paths, which an index of packages does not have.

    The addresses begin with the `Repository` of [project.urls]; without one, links and images become their texts.
    """
    import tomllib

    repository = tomllib.loads(Path("pyproject.toml").read_text())["project"].get("urls", {}).get("Repository")

    def with_address(link: re.Match[str]) -> str:
        image, text, path = link.groups()
        kind = "raw" if image else "blob"
        return f"{image}[{text}]({repository.rstrip('/')}/{kind}/HEAD/{path})" if repository else text

    return LINK.sub(with_address, Path("README.md").read_text(encoding="utf-8"))


setup(long_description=readme_for_index(), long_description_content_type="text/markdown")
