"""How Sphinx builds these pages: ``make docs``, or ``sphinx-build -W --keep-going docs docs/_build/html``."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import typing

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

# autodoc imports Airflow, which makes its home where none is: it shall not be the home of whoever builds the docs.
_home = tempfile.mkdtemp(prefix="ossresume-docs-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = _home
logging.getLogger("airflow").setLevel(logging.WARNING)

from airflow_provider_ossresume import __version__, resumable  # noqa: E402  after the home is set
from airflow_provider_ossresume.hooks import contents, transfers  # noqa: E402

for _module in (
    contents,
    transfers,
    resumable,
):  # Unpack is there for type checkers only; autodoc evaluates the annotations
    _module.Unpack = typing.Unpack

project = "airflow-provider-ossresume"
author = "The airflow-provider-ossresume authors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_generated"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = False
html_copy_source = False

myst_heading_anchors = 3  # [text](page.md#a-heading) works, on GitHub too

lexers["log"] = TextLexer()  # lines of a task's log; tests/docs compares them with what the code logs

# --- the reference ----------------------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# The types stand beside the parameters that are described, not in the signature, where they would hide the names.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
add_module_names = False

# Every reference must lead somewhere. There is no network at build time, so what others document cannot be looked up.
nitpicky = True
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(airflow|requests|tenacity|urllib3|ssl|pytest|os|queue|threading|pathlib|collections|concurrent|datetime)\..*",
    ),
    (r"py:.*", r"Airflow(Fail|Skip|NotFound)Exception|AirflowSensorTimeout|AirflowTaskTimeout"),
    (r"py:.*", r"PreparedRequest|HTTPException|re\.match"),  # of requests and of Python
    (r"py:class", r"Ask|Check|_queue\.SimpleQueue"),
    (r"py:.*", r"(.*\.)?_\w+|airflow_provider_ossresume\.model\.resume\.C"),  # what is not in the reference
    (r"py:class", r"airflow_provider_ossresume\.transfer\.crew\.R"),
]
