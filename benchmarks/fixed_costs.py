"""Fixed costs: time to import, and size on disk with everything that gets installed along."""

import os
import subprocess
import time
from pathlib import Path
from statistics import median

from benchmarks.envs import horsies_core_environment
from benchmarks.session import ROOT, Services, SystemFailedError
from benchmarks.systems import System

REPEATS = 5


def _python_of(system: System) -> tuple[Path, Path]:
    """Interpreter and site-packages of a plain installation; for horsies that of horsies-core alone."""
    environment = system.environment or horsies_core_environment()
    return environment.python, environment.site_packages()


def _run(python: Path, code: str, env: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run([str(python), "-c", code], env=env, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemFailedError(f"{code}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return time.perf_counter() - began


def measure_imports(system: System, services: Services) -> dict[str, float]:
    """Milliseconds above an empty program: of the library, and of the module that declares the task."""
    python, _ = _python_of(system)
    env = services.environment_base() | {
        "BENCH_DATABASE_URL": services.postgres.url(),
        "BENCH_REDIS_URL": "redis://127.0.0.1:1/0",
        "BENCH_RESULTS_URL": "redis://127.0.0.1:1/1",
    }
    codes = ("pass", f"import {system.library}", f"import {system.application}")
    for code in codes:  # byte code is written, files are in the page cache
        _run(python, code, env)
    times: tuple[list[float], ...] = ([], [], [])
    for _ in range(REPEATS):
        for code, series in zip(codes, times, strict=True):
            series.append(_run(python, code, env))
    bare, library, application = (median(series) * 1000 for series in times)
    return {"import_ms": library - bare, "app_import_ms": application - bare, "bare_python_ms": bare}


def installed_megabytes(system: System) -> float:
    """All files of site-packages as the installer wrote them, byte code left out."""
    _, site_packages = _python_of(system)
    total = 0
    for directory, names, files in os.walk(site_packages):
        names[:] = [name for name in names if name != "__pycache__"]
        total += sum((Path(directory) / file).lstat().st_size for file in files)
    return total / 1e6
