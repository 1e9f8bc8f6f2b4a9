"""Lists the rules of the specification that no test cites: `make spec SPEC=<folder of the specification>`.

A rule is an id like T-33 or CF-07 that a specification file defines; a test cites it by writing it down. Ranges such as
R-020..R-026 count for all in between. Withdrawn ids are left out.
"""

import re
import sys
from pathlib import Path

FAMILIES = {
    "01": "T",
    "02": "CF",
    "03": "K",
    "04": "E",
    "05": "W",
    "06": "W",
    "07": "R",
    "08": "S",
    "09": "C",
    "10": "M",
    "11": "D",
}
ID = re.compile(r"\b(T|CF|K|E|W|R|S|C|M|D)-(\d{1,3})\b(?:\s*(?:\.\.|…|to)\s*(?:\1-)?(\d{1,3}))?")


def defined(folder: Path) -> dict[str, set[str]]:
    """File number -> ids it defines."""
    rules: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.md")):
        family = FAMILIES.get(path.name[:2])
        if family is None:
            continue
        text = path.read_text()
        ids = {f"{family}-{number}" for number in re.findall(rf"\b{family}-(\d{{1,3}})\b", text)}
        withdrawn = {
            f"{family}-{number}"
            for number in re.findall(rf"{family}-(\d{{1,3}})\b[^\n]{{0,6}}\(withdrawn", text)
        }
        rules[path.name[:2]] = ids - withdrawn
    return rules


def cited(folder: Path) -> set[str]:
    """Ids that the tests name."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for family, first, last in ID.findall(path.read_text()):
            width = len(first)
            for number in range(int(first), int(last or first) + 1):
                found.add(f"{family}-{number:0{width}d}")
    return found


def main() -> int:
    """Print what is missing; 0 if nothing is."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    tests = cited(Path(__file__).parent.parent / "tests")
    open_rules = 0
    for number, ids in defined(Path(sys.argv[1])).items():
        missing = sorted(ids - tests, key=lambda rule: int(rule.split("-")[1]))
        open_rules += len(missing)
        print(
            f"{number}: {len(ids) - len(missing)} of {len(ids)} cited; without a test: {', '.join(missing) or 'none'}"
        )
    return 1 if open_rules else 0


if __name__ == "__main__":
    sys.exit(main())
