"""Sphinx for `make docs`: MyST pages, and a reference from the docstrings. Builds without a network."""

from __future__ import annotations

import os
from pathlib import Path

# Airflow writes its settings on its first import; a build must not write to the reader's AIRFLOW_HOME.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parent / "_build" / ".airflow")

from airflow_provider_atlas import __version__

project = "airflow-provider-atlas"
author = "The airflow-provider-atlas maintainers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["_build", "measured/*"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = project
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True

# A check of other projects' names needs their inventories, and so a network. All of our names are checked.
nitpick_ignore_regex = [
    ("py:.*", r"(airflow|os|requests|pytest|datetime|collections|pathlib)\..*"),
    ("py:class", r"Context|Connection|RetryDecision|Path|ObjectStoragePath|AtlasRequest|PokeReturnValue|tuple\[.*"),
]
