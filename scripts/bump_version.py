"""Sets the version of all six distributions and the pins between them: `python scripts/bump_version.py 0.2.0`."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Rewrite the project files; `uv lock` afterwards."""
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", sys.argv[1]):
        print(__doc__, file=sys.stderr)
        return 2
    for path in [ROOT / "pyproject.toml", *sorted((ROOT / "packages").glob("*/pyproject.toml"))]:
        text = path.read_text()
        text = re.sub(r'^version = ".*"$', f'version = "{sys.argv[1]}"', text, count=1, flags=re.MULTILINE)
        text = re.sub(r'("horsies-\w+(?:\[\w+\])?)==[^"]+"', rf'\1=={sys.argv[1]}"', text)
        path.write_text(text)
        print(f"{path.relative_to(ROOT)}: {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
