"Sphinx's side of docs/build.py. Everything a page needs is in the site."
import re
from nbdev.config import get_config
cfg = get_config()
project, author, release, copyright = cfg.title, cfg.author, cfg.version, cfg.copyright
extensions = ['myst_nb', 'sphinx_copybutton']
nb_execution_mode, nb_merge_streams = 'off', True
myst_enable_extensions, myst_heading_anchors = ['dollarmath', 'amsmath', 'colon_fence'], 4
suppress_warnings = ['myst.header']                                  # a name documented right below a title
copybutton_selector = 'div.cell_input pre, div.highlight-sh pre'
html_use_index, pygments_dark_style = False, 'github-dark'
html_theme, html_title, html_show_sourcelink, html_copy_source = 'furo', project, False, False
html_static_path, html_css_files, html_favicon = ['static'], ['site.css'], 'static/icon.svg'
html_math_renderer = 'mathml'

def setup(app): # LaTeX → MathML while building: no script from elsewhere
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert
    from sphinx.util import logging
    def mathml(node, display):
        res = convert(re.sub(r'\\[bB]ig(?=\\[lr]angle)', '', node.astext()), display=display)         # the converter knows no \big, and no angles that grow
        res = re.sub(r'<mi>(&#x027E([89]);)</mi>', lambda m: f'<mo form="{"prefix" if m[2]=="8" else "postfix"}" stretchy="true">{m[1]}</mo>', res)
        if '\\' in res: logging.getLogger(__name__).warning('not understood: %s', node.astext(), location=node)
        return res
    def inline(self, node): self.body.append(mathml(node, 'inline')); raise SkipNode
    def block(self, node): self.body.append(f'<div class="math">{mathml(node, "block")}</div>'); raise SkipNode
    app.add_html_math_renderer('mathml', (inline, None), (block, None))
