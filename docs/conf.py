"Sphinx's side of docs/build.py. Everything a page needs is in the site."
import re
from docutils.nodes import Element, SkipNode
from latex2mathml.converter import convert
from nbdev.config import get_config
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

cfg = get_config()
project = cfg.title
author = cfg.author
release = cfg.version
copyright = cfg.copyright

extensions = ['myst_nb', 'sphinx_copybutton']
nb_execution_mode = 'off'
nb_merge_streams = True
nb_code_prompt_show = 'Show code'
nb_code_prompt_hide = 'Hide code'
myst_enable_extensions = ['dollarmath', 'amsmath', 'colon_fence']
myst_heading_anchors = 4
suppress_warnings = ['myst.header'] # a name documented right below a title
copybutton_selector = 'div.cell_input pre, div.highlight-sh pre'

html_theme = 'furo'
html_title = project
html_favicon = 'static/icon.svg'
html_static_path = ['static']
html_css_files = ['site.css']
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
html_math_renderer = 'mathml'
pygments_dark_style = 'github-dark'

def stretched(found: re.Match) -> str:
    "An angle bracket as an operator that grows with what it encloses."
    form = 'prefix' if found[2]=='8' else 'postfix'
    return f'<mo form="{form}" stretchy="true">{found[1]}</mo>'

def mathml(node: Element, display: str) -> str:
    "LaTeX → MathML while building, so that no script comes from elsewhere."
    latex = re.sub(r'\\[bB]ig(?=\\[lr]angle)', '', node.astext()) # the converter knows no \big here
    res = re.sub(r'<mi>(&#x027E([89]);)</mi>', stretched, convert(latex, display=display))
    if '\\' in res:
        logging.getLogger(__name__).warning('not understood: %s', node.astext(), location=node)
    return res

def inline_math(self: HTML5Translator, node: Element):
    "Write a formula in a line."
    self.body.append(mathml(node, 'inline'))
    raise SkipNode

def block_math(self: HTML5Translator, node: Element):
    "Write a formula that stands alone."
    self.body.append(f'<div class="math">{mathml(node, "block")}</div>')
    raise SkipNode

def setup(app: Sphinx):
    "Called by Sphinx."
    app.add_html_math_renderer('mathml', (inline_math, None), (block_math, None))
