"""The reference names all that is public, and Sphinx reads docstrings as they are meant."""

import ast
import dataclasses
import inspect
import itertools
import re
import runpy
from pathlib import Path

import pytest
from sphinx.ext.napoleon import Config, GoogleDocstring

import swinir_jax

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_has_each_public_name_in_the_overview_and_in_full():
    text = (DOCS / "api.md").read_text()
    overview = re.findall(r"^   ~swinir_jax\.(\w+)$", text, re.MULTILINE)
    in_full = re.findall(r"^\.\. auto\w+:: swinir_jax\.(\w+)", text, re.MULTILINE)
    assert sorted(overview) == sorted(in_full) == sorted(swinir_jax.__all__)


def test_the_configuration_describes_each_field():
    section = swinir_jax.SwinIRConfig.__doc__.split("Attributes:")[1].split("Raises:")[0]
    described = re.findall(r"^ {6}(\w+): \S", section, re.MULTILINE)
    assert described == [field.name for field in dataclasses.fields(swinir_jax.SwinIRConfig)]


def docstrings():
    """Yields file, kind for Sphinx, name and docstring of each function, property and described constant."""
    for path in sorted(Path(swinir_jax.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                is_property = any(getattr(decorator, "id", "") == "property" for decorator in node.decorator_list)
                yield path.name, "property" if is_property else "function", node.name, text
            elif isinstance(node, ast.Module | ast.ClassDef):
                for before, after in itertools.pairwise(node.body):
                    match before, after:
                        case ((ast.Assign() | ast.AnnAssign()), ast.Expr(ast.Constant(str(text)))):
                            yield path.name, "data", ast.unparse(before), inspect.cleandoc(text)


def test_no_words_before_a_colon_are_taken_for_a_type():
    from_markdown = runpy.run_path(str(DOCS / "conf.py"))["_from_markdown"]
    broken = []
    for file, kind, name, text in docstrings():
        lines = text.split("\n")
        from_markdown(None, kind, name, None, None, lines)
        rendered = str(GoogleDocstring(lines, Config(napoleon_use_ivar=False), what=kind, name=name))
        if re.search(r"^:r?type:", rendered, re.MULTILINE):
            broken.append(f"{file}: {name}")
    assert broken == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("As `save_pretrained`.", "As :py:obj:`save_pretrained <swinir_jax.checkpoints.pretrained.save_pretrained>`."),
        ("As `SwinIR.apply`.", "As :py:obj:`SwinIR.apply <swinir_jax.models.swinir.SwinIR.apply>`."),
        ("By `infer_config`.", "By :py:obj:`infer_config <swinir_jax.checkpoints.architecture.infer_config>`."),
        ("See `levels`, `[B, h, w]`.", "See :py:obj:`levels`, ``[B, h, w]``."),
        ("A | b", r"A \| b"),
    ],
)
def test_names_in_docstrings_become_links(text, expected):
    lines = [text]
    from_markdown = runpy.run_path(str(DOCS / "conf.py"))["_from_markdown"]
    from_markdown(None, "function", "", swinir_jax.load_pretrained, None, lines)
    assert lines == [expected]
