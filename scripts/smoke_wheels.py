"""Builds all distributions and installs each wheel alone into a fresh environment: does it import, does it answer?

Run it with uv's Python: `uv run python scripts/smoke_wheels.py`. Prints the closure and its size for each.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROBES: dict[str, list[list[str]]] = {
    "horsies-core": [
        ["python", "-c", "import horsies; [getattr(horsies, name) for name in horsies.__all__]"]
    ],
    "horsies-worker": [["python", "-m", "horsies_worker", "--help"], ["horsies-worker", "--help"]],
    "horsies-scheduler": [["python", "-m", "horsies_scheduler", "--help"], ["horsies-scheduler", "--help"]],
    "horsies-syce": [["python", "-m", "horsies_syce", "--help"], ["horsies-syce", "--help"]],
    "horsies-cli": [["horsies", "--help"], ["horsies", "version"]],
    "horsies": [["horsies", "worker", "--help"], ["horsies", "scheduler", "--help"], ["horsies", "version"]],
}
ABSENT: dict[str, list[str]] = {
    "horsies-core": ["typer", "textual", "rich", "horsies_worker", "horsies_cli"],
    "horsies-worker": ["textual", "horsies_scheduler", "horsies_syce", "horsies_cli"],
    "horsies-scheduler": ["textual", "horsies_worker", "horsies_syce", "horsies_cli"],
    "horsies-syce": ["horsies_worker", "horsies_scheduler", "horsies_cli"],
    "horsies-cli": ["textual", "horsies_worker", "horsies_scheduler", "horsies_syce"],
    "horsies": [],
}


def main() -> int:
    """0 if every distribution stands on its own."""
    uv = os.environ.get("UV", "uv")
    # Where this runs under uv, settings for its own environment must not reach the fresh ones.
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("VIRTUAL_ENV", "UV_PYTHON", "PYTHONPATH")
    }
    with tempfile.TemporaryDirectory(prefix="horsies-wheels-") as folder:
        dist = Path(folder) / "dist"
        run = [uv, "build", "--all-packages", "--no-sources", "--quiet", "--out-dir", str(dist)]
        subprocess.run(run, cwd=ROOT, env=environment, check=True)
        for name in PROBES:
            _probe(name, uv, dist, Path(folder) / name, environment)
    return 0


def _probe(name: str, uv: str, dist: Path, venv: Path, environment: dict[str, str]) -> None:
    bin_dir = venv / "bin"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(sys.base_prefix) / "bin" / f"python{version}"
    subprocess.run(
        [uv, "venv", "--quiet", "--python", str(interpreter), str(venv)], cwd="/", env=environment, check=True
    )
    wheel = next(dist.glob(f"{name.replace('-', '_')}-[0-9]*.whl"))
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        str(bin_dir / "python"),
        "--find-links",
        str(dist),
        str(wheel),
    ]
    subprocess.run(install, cwd="/", env=environment, check=True)
    for probe in PROBES[name]:
        subprocess.run(
            [str(bin_dir / probe[0]), *probe[1:]],
            cwd="/",
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    code = f"import importlib.util as u; print([m for m in {ABSENT[name]!r} if u.find_spec(m)])"
    found = subprocess.run(
        [str(bin_dir / "python"), "-c", code],
        cwd="/",
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    if found.stdout.strip() != "[]":
        raise SystemExit(f"{name} brings what it must not: {found.stdout.strip()}")
    site = next((venv / "lib").glob("python*/site-packages"))
    closure = sorted(entry.name.split("-")[0] for entry in site.glob("*.dist-info"))
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) / 1e6
    print(f"{name}: {len(closure)} distributions, {size:.0f} MB: {', '.join(closure)}")
    shutil.rmtree(venv)


if __name__ == "__main__":
    sys.exit(main())
