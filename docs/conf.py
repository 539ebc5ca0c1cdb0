"""Sphinx settings of the documentation, which `make docs` builds."""

import re

from sphinx.application import Sphinx

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
    "exclude-members": "dtype",  # a default that is a class would be listed as one
}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def setup(app: Sphinx) -> None:
    """Registers `_from_markdown` to run before napoleon."""
    app.connect("autodoc-process-docstring", _from_markdown, priority=400)


def _from_markdown(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turns `code` in docstrings from Markdown into reStructuredText, and escapes `|`, a substitution there."""

    def restructured(match: re.Match[str]) -> str:
        return f"``{match[1]}``" if match[1] else r"\|"

    lines[:] = re.sub(r"`([^`]+)`|\|", restructured, "\n".join(lines)).split("\n")
