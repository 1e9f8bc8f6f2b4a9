"""Running the examples of a page of the documentation."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of one language in a page of docs/: number of the first line, text."""
    text = (DOCS / page).read_text("utf-8")
    return [
        (text.count("\n", 0, found.start(2)) + 1, found[2])
        for found in _BLOCK.finditer(text)
        if found[1] == language
    ]


def run_python(page: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run the Python blocks of a page in order, in one module, as a reader would type them.

    Args:
        page: Its name in docs/.
        names: What the page takes for given, a database's URL for instance.

    Returns:
        The module's names afterwards.
    """
    module: dict[str, Any] = {"__name__": f"docs_{Path(page).stem}", **names}
    for line, text in blocks(page, "python"):
        source = "\n" * (line - 1) + text  # so that a traceback shows the line of the page
        exec(compile(source, str(DOCS / page), "exec"), module)
    return module
