"""Child processes that never outlive the run, and the CPU time and memory of whole process trees."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

STOP_TIMEOUT = 20.0
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pipes: bool = False,
) -> subprocess.Popen[str]:
    """Start a process in a group of its own; its output goes to `log`, or stdin/stdout to pipes."""
    with log.open("a") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else output,
            stderr=output,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 -- no threads here
        )


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM, then SIGKILL for whatever is left of the tree."""
    family = _family(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            if member.is_running() and member.status() != psutil.STATUS_ZOMBIE:
                member.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Generator[subprocess.Popen[str]]:
    process = start(command, log=log, env=env, cwd=cwd)
    try:
        yield process
    finally:
        stop(process)


def tree_cpu(pids: Sequence[int]) -> float:
    """CPU seconds used so far by these processes and all their descendants, the ended ones included."""
    total = 0.0
    for member in _families(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def tree_memory(pids: Sequence[int]) -> float:
    """Proportional set size (shared pages counted once) of the trees, in MB."""
    total = 0
    for member in _families(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += member.memory_full_info().pss
    return total / 1e6


def _families(pids: Sequence[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        yield from _family(pid)


def _family(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
