"Make README.md from nbs/index.ipynb; with --check, fail if it is not current."
import json
import re
import sys
from nbdev.config import get_config

root = get_config().config_path

def markdown(cell: dict) -> str:
    "A cell as README text: prose as it is, code fenced with its printed output, no pictures."
    source = ''.join(cell['source'])
    if cell['cell_type']=='markdown':
        return re.sub(r'\]\(([\w/]+\.(?:ipynb|png))\)', r'](nbs/\1)', source)
    if source.startswith('#|'): return ''
    output = ''.join(''.join(o.get('text', '')) for o in cell['outputs'])
    code = f'```python\n{source}\n```'
    if output: code += f'\n\n```\n{output.rstrip()}\n```'
    return code

def readme() -> str:
    "The whole text."
    cells = json.loads((root/'nbs/index.ipynb').read_text())['cells']
    made_from = '<!-- Made from nbs/index.ipynb by docs/readme.py: edit there. -->'
    parts = [made_from, *map(markdown, cells)]
    return '\n\n'.join(filter(None, parts)) + '\n'

def main() -> str | None:
    "Write, or with --check compare; what is wrong, if anything."
    path = root/'README.md'
    if '--check' not in sys.argv: path.write_text(readme())
    elif path.read_text()!=readme():
        return 'README.md is not what index.ipynb says: run python docs/readme.py'

if __name__=='__main__': sys.exit(main())
