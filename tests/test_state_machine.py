"""docs/STATE_MACHINE.md draws exactly the moves that horsies/state.py lists (T-55 to T-65, 05 section 7)."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import pytest

from horsies.state import TASK_TRANSITIONS, WORKFLOW_TASK_TRANSITIONS, WORKFLOW_TRANSITIONS

PAGE = Path(__file__).parent.parent / "docs" / "STATE_MACHINE.md"
PICTURE = re.compile(
    r"^## (?P<title>.+?)\n+```mermaid\nstateDiagram-v2\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE
)
MOVE = re.compile(r"^    (?P<source>\[\*\]|[A-Z]+) --> (?P<target>\[\*\]|[A-Z]+)(?:: (?P<label>\S.*))?$")


def drawn_moves(title: str) -> list[tuple[str, str, str | None]]:
    pictures = {found["title"]: found["body"] for found in PICTURE.finditer(PAGE.read_text(encoding="utf-8"))}
    moves: list[tuple[str, str, str | None]] = []
    for line in pictures[title].splitlines():
        found = MOVE.match(line)
        assert found is not None, f"not a move: {line!r}"
        moves.append((found["source"], found["target"], found["label"]))
    return moves


def listed_moves[S: StrEnum](transitions: Mapping[S | None, frozenset[S]]) -> set[tuple[str, str]]:
    return {
        ("[*]" if source is None else source.value, target.value)
        for source, targets in transitions.items()
        for target in targets
    }


MACHINES = [
    pytest.param(
        "Task", listed_moves(TASK_TRANSITIONS), {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}, id="task"
    ),
    pytest.param(
        "Workflow",
        listed_moves(WORKFLOW_TRANSITIONS),
        {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"},
        id="workflow",
    ),
    pytest.param(
        "Node", listed_moves(WORKFLOW_TASK_TRANSITIONS), {"COMPLETED", "FAILED", "SKIPPED"}, id="node"
    ),
]


@pytest.mark.parametrize(("title", "listed", "terminal"), MACHINES)
def test_picture_and_data_agree(title: str, listed: set[tuple[str, str]], terminal: set[str]) -> None:
    """T-55 to T-65, 05 section 7"""
    moves = drawn_moves(title)
    drawn = {(source, target) for source, target, _ in moves if target != "[*]"}
    assert drawn == listed
    assert {source for source, target, _ in moves if target == "[*]"} == terminal
    assert len(moves) == len(drawn) + len(terminal), "an arrow is drawn twice"


@pytest.mark.parametrize(("title", "listed", "terminal"), MACHINES)
def test_every_move_says_who_makes_it(title: str, listed: set[tuple[str, str]], terminal: set[str]) -> None:
    assert [move for move in drawn_moves(title) if move[1] != "[*]" and move[2] is None] == []


@pytest.mark.parametrize(("title", "listed", "terminal"), MACHINES)
def test_every_state_can_end(title: str, listed: set[tuple[str, str]], terminal: set[str]) -> None:
    """From wherever a record is, some path leads to an end."""
    ending = set(terminal)
    while more := {source for source, target in listed if target in ending} - ending:
        ending |= more
    assert {state for move in listed for state in move} <= ending
