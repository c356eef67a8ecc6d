"""How Sphinx builds the site: ``make docs``."""

import arrayfab

project = "arrayfab"
author = "The arrayfab developers"
copyright = author
version = release = arrayfab.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_heading_anchors = 3

# A name in single backticks is a link where it is one, and code otherwise.
default_role = "py:obj"
autodoc_inherit_docstrings = False  # a variant's blocks and formula are documented once, in Fabrication
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types are in the signature's docstring
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "arrayfab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {"**": ["contents.html"]}
html_theme_options = {"navbar_center": [], "footer_start": ["copyright"], "footer_end": []}
