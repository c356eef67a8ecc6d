"""How Sphinx builds the site: ``make docs``."""

import importlib.util

import arrayfab

project = "arrayfab"
author = "The arrayfab developers"
copyright = author
version = release = arrayfab.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_heading_anchors = 3

default_role = "py:obj"  # a name in single backticks must be one
nitpick_ignore_regex = [("py:obj", r"(autograd|cupy|cupyx|jax|numpy|scipy|sklearn|torch)\..*")]
autodoc_inherit_docstrings = False  # a variant's blocks and formula are documented once, in Fabrication
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types are in the docstrings
autodoc_mock_imports = [name for name in ("autograd", "jax", "torch") if not importlib.util.find_spec(name)]
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "arrayfab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_sidebars = {"**": ["contents.html"]}
html_theme_options = {"navbar_center": [], "footer_start": ["copyright"], "footer_end": []}


def from_the_top(app, env, node, contnode):
    """What a name means that its own module does not know: the package's name, as in `LowRank`."""
    name = f"arrayfab.{node['reftarget']}"
    return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)


def skip_generated(app, what, name, obj, skip, options):
    """Methods that scikit-learn generates in every estimator are told in scikit-learn's own pages."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_generated)
    app.connect("missing-reference", from_the_top)
