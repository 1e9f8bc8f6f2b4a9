"""Run `horsies demo` and save what it shows as docs/images/demo.svg."""

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from horsies_cli.demo_run import run_demo

TARGET = Path(__file__).parent.parent / "docs" / "images" / "demo.svg"


def main() -> int:
    # Not a terminal: of the live part only its last state is kept.
    console = Console(record=True, file=io.StringIO(), force_terminal=False, width=84, highlight=False)
    console.print("[bold green]$[/] horsies demo")
    status = run_demo(console)
    if status == 0:
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        console.save_svg(str(TARGET), title="horsies demo", theme=MONOKAI)
        print(f"wrote {TARGET}")
    else:
        print(console.export_text(), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
