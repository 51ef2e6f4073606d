"""Sphinx's configuration. `make docs` builds the site in docs/_build/html; nothing in it is asked of another host."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sfnet_core.utils.version import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# The pages' cells run `sfnet` as a reader would type it, in plain text and without a kernel's or a browser's help.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.update(TERM="dumb", COLUMNS="100", PYTHONWARNINGS="ignore")
# Kernels with a profile of their own: none of the builder's start-up files, and no remarks about transport on loopback.
profile = HERE / "_build" / "ipython" / "profile_default"
profile.mkdir(parents=True, exist_ok=True)
(profile / "ipython_kernel_config.py").write_text("get_config().IPKernelApp.log_level = 40\n", encoding="utf-8")
os.environ["IPYTHONDIR"] = str(profile.parent)
os.environ["DOCS_ROOT"] = str(HERE.parent)  # for cells that read files of the repository
for name in [name for name in os.environ if name.startswith("SFNET_") and name != "SFNET_CACHE"]:
    del os.environ[name]  # a reader's own codes must not find their way into the pages

project = "SFNet"
author = "The SFNet founders"
copyright = "The SFNet founders; BSD-3-Clause"
version = release = __version__
language = "en-GB"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "from_the_code",
]
exclude_patterns = ["_build", "_templates", "README.md"]
templates_path = ["_templates"]
nitpicky = False

# -- pages and their cells ---------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # every number on a page is computed when the page is built
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js = {}  # no page shows a widget, and its scripts would come from elsewhere

# -- the API from docstrings -------------------------------------------------------------------------------------

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
viewcode_follow_imported_members = False

# -- how it looks ------------------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"SFNet {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "_static/favicon.svg"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_last_updated_fmt = None
html_sidebars = {"index": []}
html_theme_options = {
    "logo": {"text": "SFNet"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "search_as_you_type": False,
}
html_context = {"default_mode": "auto"}
