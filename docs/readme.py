"Make README.md from nbs/index.ipynb; with --check, fail if it is not current."
import json, re, sys
from pathlib import Path
from nbdev.config import get_config

root = get_config().config_path

def markdown(cell):
    "A cell as README text: prose as it is, code fenced with its printed output, pictures left to the notebook."
    src = ''.join(cell['source'])
    if cell['cell_type']=='markdown': return re.sub(r'\]\(([\w/]+\.(?:ipynb|png))\)', r'](nbs/\1)', src)
    if src.startswith('#|'): return ''
    out = ''.join(''.join(o.get('text', '')) for o in cell['outputs'])
    return f'```python\n{src}\n```' + (f'\n\n```\n{out.rstrip()}\n```' if out else '')

def readme():
    cells = json.loads((root/'nbs/index.ipynb').read_text())['cells']
    return '<!-- Made from nbs/index.ipynb by docs/readme.py: edit there. -->\n\n' + '\n\n'.join(filter(None, map(markdown, cells))) + '\n'

if __name__=='__main__':
    if '--check' in sys.argv: sys.exit(0 if (root/'README.md').read_text()==readme() else 'README.md is not what index.ipynb says: run python docs/readme.py')
    (root/'README.md').write_text(readme())
