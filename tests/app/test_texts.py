"""The page's texts, which each language has in full."""

import re
from importlib import resources

import pytest

WEB = resources.files("swinir_jax") / "web"
LANGUAGES = sorted(file.name.removesuffix(".js") for file in (WEB / "texts").iterdir())


def keys(language):
    text = (WEB / "texts" / f"{language}.js").read_text(encoding="utf-8")
    return [(len(indent), key.strip('"')) for indent, key in re.findall(r'^( *)([\w"-]+):', text, re.MULTILINE)]


def test_the_page_offers_every_language():
    [offered] = re.findall(r"const LANGUAGES = \[(.*)\];", (WEB / "texts.js").read_text(encoding="utf-8"))
    assert sorted(re.findall(r'"(\w+)"', offered)) == LANGUAGES


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_language_has_every_text(language):
    assert keys(language) == keys("en")


def test_every_text_that_the_page_names_is_there():
    page = (WEB / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'data-(?:text|label|alt)="(\w+)"', page))
    assert len(named) > 20
    assert named <= {key for _, key in keys("en")}
