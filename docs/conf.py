"""The documentation site; `nox -s site` builds it"""

import re
from importlib.metadata import version as version_of
from typing import Any

from attrs import fields_dict

project = 'requests-cache'
version = release = version_of('requests-cache')

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.intersphinx',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
]
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['_build']
nitpicky = False
# Single backticks in docstrings are code
default_role = 'code'
suppress_warnings = ['myst.xref_missing']

html_theme = 'furo'
html_title = 'requests-cache'
html_favicon = 'favicon.svg'
html_static_path = ['_static']
html_css_files = ['tables.css']
html_theme_options = {
    'light_css_variables': {'font-stack': 'system-ui, sans-serif'},
    'dark_css_variables': {'font-stack': 'system-ui, sans-serif'},
}
html_copy_source = False
html_show_copyright = False
# Prompts and promised output are not part of what is copied
copybutton_prompt_text = '$ '

myst_enable_extensions = ['colon_fence', 'deflist']
myst_heading_anchors = 4

autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_member_order = 'bysource'
# Names of constants and types instead of what they stand for, and long signatures with one parameter on each line
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name
    for name in (
        'AnyRequest',
        'AnyResponse',
        'BackendSpecifier',
        'ExpirationPatterns',
        'ExpirationTime',
        'FilterCallback',
        'KeyCallback',
        'SerializerType',
        'StrOrPath',
        'Subscriber',
    )
}
python_maximum_signature_line_length = 88
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Inventories of other projects are fetched only where there is a network, as on Read the Docs
intersphinx_mapping = {}


def readable(text: str | None, obj: Any) -> str | None:
    """A part of a signature, with names of types and values of defaults where Sphinx has expressions"""
    if text is None:
        return None
    text = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r'\1', text)
    text = re.sub(r"attr_dict\['(\w+)'\]\.default", lambda match: repr(fields_dict(obj)[match[1]].default), text)
    return text.replace('= NOTHING', '= …')


def process_signature(app: Any, what: str, name: str, obj: Any, options: Any, args: str | None, returns: str | None):
    return readable(args, obj), readable(returns, obj)


def process_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what == 'data':  # that of `int` or `tuple`
        lines.clear()


def setup(app: Any) -> None:
    app.connect('autodoc-process-signature', process_signature)
    app.connect('autodoc-process-docstring', process_docstring)
