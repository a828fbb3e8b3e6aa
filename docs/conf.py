"""The documentation site; `nox -s site` builds it"""

from importlib.metadata import version as version_of

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
html_theme_options = {
    'light_css_variables': {'font-stack': 'system-ui, sans-serif'},
    'dark_css_variables': {'font-stack': 'system-ui, sans-serif'},
}
html_copy_source = False
# Prompts and promised output are not part of what is copied
copybutton_prompt_text = '$ '

myst_enable_extensions = ['colon_fence', 'deflist']
myst_heading_anchors = 4

autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Inventories of other projects are fetched only where there is a network, as on Read the Docs
intersphinx_mapping = {}
