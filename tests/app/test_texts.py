"""The page's texts, which each language has in full."""

import re
from importlib import resources

import pytest

TEXTS = resources.files("swinir_jax") / "web" / "texts"


def keys(language):
    text = (TEXTS / f"{language}.js").read_text(encoding="utf-8")
    return [(len(indent), key.strip('"')) for indent, key in re.findall(r'^( *)([\w"-]+):', text, re.MULTILINE)]


@pytest.mark.parametrize("language", ["de", "zh"])
def test_every_language_has_every_text(language):
    assert keys(language) == keys("en")
