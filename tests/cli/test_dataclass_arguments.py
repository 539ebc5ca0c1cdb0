import dataclasses
import re
from typing import Literal

import pytest

from swinir_jax.cli.dataclass_arguments import FieldParser, with_fields
from swinir_jax.configs import load_experiment
from swinir_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner settings, `limit` above all.

    Attributes:
      size: side of a square, or (height, width), at
        least 1 %.
      shares: rising shares.
      limit: greatest value, at least `size`, `a.b`; None for `x`.
      quick_start: start at once.
    """

    size: int | tuple[int, int] = 8
    shares: tuple[float, ...] = (0.5, 0.8)
    limit: float | None = None
    quick_start: bool = False

    def __post_init__(self):
        if self.size == 0:
            raise InputError("size must be at least 1, got 0.")


@dataclasses.dataclass(frozen=True)
class Outer:
    """Outer settings.

    Attributes:
      name: name of the settings.
      kind: one of two words.
      hq: images, with commas between.
    """

    name: str = "first"
    kind: Literal["one", "two"] = "one"
    hq: str = ""
    inner: Inner = Inner()


def parser_of(config=Outer()):
    parser = FieldParser("program", "usage", "description")
    parser.add_fields(config, skip=("name",))
    return parser


def parse(*arguments, config=Outer()):
    return with_fields(config, vars(parser_of(config).parse(arguments)))


@pytest.mark.parametrize(
    ("arguments", "inner"),
    [
        ("", {}),
        ("--inner.size 9", {"size": 9}),
        ("--inner.size 9 12", {"size": (9, 12)}),
        ("--inner.shares 0.1 1", {"shares": (0.1, 1.0)}),
        ("--inner.shares", {"shares": ()}),
        ("--inner.limit 2", {"limit": 2.0}),
        ("--inner.limit=2", {"limit": 2.0}),
        ("--inner.limit 2 --inner.limit none", {}),
        ("--inner.limit None", {}),
        ("--inner.quick-start", {"quick_start": True}),
        ("--inner.quick_start", {"quick_start": True}),
        ("--inner.quick-start --inner.no-quick-start", {}),
    ],
)
def test_types_of_fields(arguments, inner):
    assert parse(*arguments.split()) == Outer(inner=Inner(**inner))


def test_texts_stay_as_they_are():
    assert parse("--hq", "folder:a_b,c=d", "--kind", "two") == Outer(hq="folder:a_b,c=d", kind="two")
    assert parse("--hq=a_b") == Outer(hq="a_b")
    assert parse("--hq", "", config=Outer(hq="a")) == Outer()


def test_fields_that_are_not_given_keep_their_values():
    config = Outer(name="second", inner=Inner(limit=3.0, quick_start=True))
    assert parse("--inner.size", "4", config=config) == dataclasses.replace(
        config, inner=dataclasses.replace(config.inner, size=4)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--inner.size many", "--inner.size: invalid int value: 'many'"),
        ("--inner.shares 0.1 x", "--inner.shares: invalid float value: 'x'"),
        ("--inner.limit x", r"--inner.limit: invalid float \(or none\) value: 'x'"),
        ("--kind three", "--kind: invalid choice: 'three' .*one.*two"),
        ("--kind", "--kind: expected one argument"),
        ("--inner.quick-start yes", "unrecognized argument yes"),
        ("--inner.limt 2", "unrecognized argument --inner.limt, the nearest is --inner.limit "),
        ("--limit=2", "unrecognized argument --limit, the nearest is --inner.limit "),
        ("--ki two", "unrecognized argument --ki"),
        ("--name x", "unrecognized argument --name"),
        ("--inner.size 0", "^size must be at least 1, got 0.$"),
    ],
)
def test_errors_name_the_option_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(*arguments.split())
    assert "\n" not in str(caught.value)


def test_help_shows_types_choices_descriptions_and_defaults():
    words = " ".join(parser_of().format_help().split())
    assert "--kind {one,two} one of two words (default: one)" in words
    assert "--hq STR images, with commas between (default: '')" in words
    assert "inner options: Inner settings, --inner.limit above all. " in words
    assert "--inner.size INT [INT ...] side of a square, or (height, width), at least 1 % (default: 8)" in words
    assert "--inner.shares [FLOAT ...] rising shares (default: 0.5 0.8)" in words
    assert (
        "--inner.limit FLOAT|none greatest value, at least --inner.size, --a.b; none for `x` (default: none)" in words
    )
    assert "--inner.quick-start, --inner.no-quick-start start at once (default: False)" in words
    assert "--name" not in words


def test_every_field_of_an_experiment_is_described():
    helps = [action.help for action in parser_of(load_experiment("lightweight_sr_x2"))._actions]
    assert len(helps) > 50
    assert [text for text in helps if text.startswith(" (default") or re.search(r"\b(None|[A-Z]+S)\b`?", text)] == []
