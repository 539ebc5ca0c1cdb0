"""Sphinx settings of the documentation, which `make docs` builds."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import swinir_jax
from swinir_jax import __version__

project = "swinir-jax"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = project
html_show_copyright = False
highlight_language = "sh"  # of code blocks that name no language
myst_heading_anchors = 3

autoclass_content = "both"  # the class says what it is, __init__ what it takes
autodoc_default_options = {
    "members": True,
    "special-members": "__call__",
    "ignore-module-all": True,
    "exclude-members": "dtype,convolution,bias_init",  # defaults that are a class or function would be listed as one
}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # signatures have the types

_PUBLIC = {name: getattr(swinir_jax, name) for name in swinir_jax.__all__}  # objects on the API page


def setup(app: Sphinx) -> None:
    """Registers the functions below; docstrings are rewritten before napoleon reads them."""
    app.connect("autodoc-process-docstring", _from_markdown, priority=400)
    app.connect("autodoc-skip-member", _skip_public)
    app.connect("missing-reference", _to_public_name)


def _from_markdown(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turns docstrings from Markdown into reStructuredText: names into links, other `code` into literals, `|` escaped.

    "Returns:" becomes a field, because napoleon takes words before a colon for the type of what is returned.
    """
    module = inspect.getmodule(getattr(obj, "fget", obj))
    names = {**(vars(module) if module else {}), **_PUBLIC}

    def restructured(match: re.Match[str]) -> str:
        return _linked(match[1], names) if match[1] else r"\|"

    text = re.sub(r"`([^`]+)`|\|", restructured, "\n".join(lines))
    lines[:] = re.sub(r"^Returns:\n +", ":returns: ", text, flags=re.MULTILINE).split("\n")


def _linked(code: str, names: Mapping[str, Any]) -> str:
    """Returns a link to what a dotted name means in a module, where it is ours, else a literal."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*", code):
        return f"``{code}``"
    first, *attributes = code.split(".")
    found = names.get(first)
    if getattr(found, "__module__", "").startswith("swinir_jax") and hasattr(found, "__qualname__"):
        return f":py:obj:`{code} <{'.'.join([found.__module__, found.__qualname__, *attributes])}>`"
    return f":py:obj:`{code}`"  # of the same class or module, or a literal


def _skip_public(app: object, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leaves out of a module's page what the API page has, and fields of NamedTuples, which class docstrings list."""
    is_on_api_page = what == "module" and any(obj is public for public in _PUBLIC.values())
    return True if is_on_api_page or type(obj).__name__ == "_tuplegetter" else None


def _to_public_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement) -> object:
    """Links names of modules that define something public to the API page."""
    target = node.get("reftarget", "")
    for name, public in _PUBLIC.items():
        path = f"{public.__module__}.{name}"
        if target == path or target.startswith(f"{path}."):
            target = target.replace(path, f"swinir_jax.{name}", 1)
            return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, text)
    return None
