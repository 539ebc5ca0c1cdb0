from pathlib import Path

import pytest

from swinir_jax.data.places import FolderPlace, TfdsPlace, parse_places
from swinir_jax.errors import InputError


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("folder:DIV2K", [FolderPlace(Path("DIV2K"))]),
        ("folder:HQ,LQ", [FolderPlace(Path("HQ"), Path("LQ"))]),
        ("tfds:div2k/bicubic_x2:train[:50%]", [TfdsPlace("div2k/bicubic_x2:train[:50%]")]),
        ("folder:A,folder:B:0.5", [FolderPlace(Path("A")), FolderPlace(Path("B"), None, 0.5)]),
        ("folder:A:2, folder:B", [FolderPlace(Path("A"), None, 2), FolderPlace(Path("B"))]),
        ("folder:A,B:3,tfds:c:train:1", [FolderPlace(Path("A"), Path("B"), 3), TfdsPlace("c:train", 1)]),
        ("tfds:div2k:0.25", [TfdsPlace("div2k", 0.25)]),
        (r"folder:sun\, sea", [FolderPlace(Path("sun, sea"))]),
        (r"folder:a\,folder:b\:2,c", [FolderPlace(Path("a,folder:b:2"), Path("c"))]),
        ("folder:scan:v2", [FolderPlace(Path("scan:v2"))]),
        ("folder:2", [FolderPlace(Path("2"))]),
    ],
)
def test_places(text, places):
    assert parse_places(text, "--data.hq") == places


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse_places("folder:~/a,~/b", "--data.hq") == [FolderPlace(Path("/home/me/a"), Path("/home/me/b"))]


@pytest.mark.parametrize(
    "text", ["", "A", "folder:", "folder:A,", "folder:,A", "folder:A,B,C", "tfds:", "tfds:a,b", "zip:A", "folder::1"]
)
def test_errors_show_the_grammar(text):
    with pytest.raises(InputError, match=r"--data\.hq must be folder:PATH, folder:HQ,LQ or tfds:.*:WEIGHT") as caught:
        parse_places(text, "--data.hq")
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("weight", ["0", "-1", "inf", "nan"])
def test_weights_are_positive(weight):
    with pytest.raises(InputError, match=f"a weight must be above 0, not {weight}"):
        parse_places(f"folder:A:{weight}", "--data.hq")
