"""The Makefile says what it installs before it is silent for minutes."""

import re
from pathlib import Path

MAKEFILE = (Path(__file__).parents[1] / "Makefile").read_text()


def test_a_line_stands_before_each_installation():
    recipes = re.findall(r"^[^\s#].*:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    installing = [recipe for recipe in recipes if re.search(r"\$\(PIP\)|pip install --disable", recipe)]
    assert len(installing) == 3
    for recipe in installing:
        before = re.split(r"\$\(PIP\)|/pip install", recipe)[0]
        assert re.search(r'@echo "Installing .* takes ', before), recipe
