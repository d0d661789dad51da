"""The release files in dist/: sdist, wheel and SBOM. Built twice and compared, checked, installed, and tried.

    python -m tools.dist      # as `make dist` does; needs git, and PyPI

Each extra is installed from the wheel into an empty environment of its own, for each Python. `uvx`, `pipx run` and the
completion of bash are tried too, where those programs exist.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
NEWEST = "14"
"""Minor version of the newest Python to try, if the machine has it; otherwise the newest that it has."""
TRIED = {
    "": "from dbc_iac import Project",
    "emulator": "from dbc_iac.emulator.embedded import EmbeddedNetwork as E, WorldSpec\nwith E(WorldSpec()): pass",
    "graph": "from dbc_iac.views.html.layout import can_lay_out\nassert can_lay_out()",
    "mnemonic": (
        "from dbc_iac.api.auth.keys import Sr25519Key\nfrom dbc_iac.secret import SecretText\n"
        "Sr25519Key.from_mnemonic(SecretText('bottom drive obey lake curtain smoke basket hold race lonely fit walk'))"
    ),
    "objectstore": "import obstore, dbc_iac.state.backends.objectstore",
    "postgres": "import psycopg, dbc_iac.state.backends.postgres",
    "controller": "import procrastinate, starlette, uvicorn",
}
"""A program for each extra, which fails without its packages."""
_RUNTIME = ",".join(filter(None, TRIED))


def main() -> None:
    """Build, check and try. Exits with a message at the first failure."""
    with TemporaryDirectory() as folder:
        work = Path(folder)
        tools = work / "tools"
        _environment(sys.executable, tools, "-r", str(ROOT / "tools/dist-requirements.txt"))
        shutil.rmtree(DIST, ignore_errors=True)
        _build(tools, DIST)
        _build(tools, work / "again")
        _equal(DIST, work / "again")
        _run(tools / "bin/twine", "check", "--strict", *map(str, sorted(DIST.iterdir())))
        [wheel] = DIST.glob("*.whl")
        [sdist] = DIST.glob("*.tar.gz")
        _sbom(tools, wheel, work)
        for python in pythons():
            for extra in _extras():
                _try(python, wheel, extra, work)
        _try(sys.executable, sdist, "", work)
        _ephemeral(tools, wheel)
    for file in sorted(DIST.iterdir()):
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(ROOT)}")


def pythons() -> Iterator[str]:
    """The Python that runs this, and the newest other one that the machine has."""
    yield sys.executable
    for minor in range(int(NEWEST), sys.version_info.minor, -1):
        of_pyenv = Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3.{minor}")
        for found in filter(None, [shutil.which(f"python3.{minor}"), *map(str, of_pyenv)]):
            if subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
                yield found
                return


def _extras() -> list[str]:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    if missing := named.keys() - TRIED.keys() - {"dev"}:
        sys.exit(f"tools/dist.py tries nothing of the extras {', '.join(missing)}")
    return list(TRIED)


def _build(tools: Path, output: Path) -> None:
    """Build sdist and wheel with the time of the last commit, so that a repeat gives the same bytes."""
    epoch = subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True).strip()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    _run(tools / "bin/python", "-m", "build", "--no-isolation", "--outdir", str(output), str(ROOT), env=environment)


def _equal(one: Path, other: Path) -> None:
    for file in one.iterdir():
        if file.read_bytes() != (other / file.name).read_bytes():
            sys.exit(f"{file.name} is not reproducible: two builds differ")
    print("Both builds are equal.")


def _sbom(tools: Path, wheel: Path, work: Path) -> None:
    """The components of an installation with every extra, as CycloneDX."""
    python = _environment(sys.executable, work / "sbom", f"{wheel}[{_RUNTIME}]")
    bill = DIST / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    _run(
        tools / "bin/cyclonedx-py", "environment", "--pyproject", str(ROOT / "pyproject.toml"),
        "--output-reproducible", "--output-file", str(bill), str(python),
    )  # fmt: skip
    value = json.loads(bill.read_text())
    print(f"{bill.name}: CycloneDX {value['specVersion']}, {len(value['components'])} components")


def _environment(python: str, place: Path, *requirements: str) -> Path:
    """A new environment with these requirements; its Python. With uv, which is faster, if the machine has it."""
    installed = place / "bin/python"
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--python", python, str(place))
        _run(uv, "pip", "install", "--python", str(installed), *requirements)
        _run(uv, "pip", "check", "--python", str(installed))
    else:
        _run(python, "-m", "venv", str(place))
        _run(installed, "-m", "pip", "install", "--disable-pip-version-check", *requirements)
        _run(installed, "-m", "pip", "check")
    return installed


def _try(python: str, package: Path, extra: str, work: Path) -> None:
    """Install into an empty environment, and run a project's first commands and a program of the extra."""
    place = work / "tried"
    shutil.rmtree(place, ignore_errors=True)
    installed = _environment(python, place, f"{package}[{extra}]" if extra else str(package))
    command, project = place / "bin/dbc-iac", place / "project"
    project.mkdir()
    _run(installed, "-c", TRIED[extra], cwd=project)
    if not extra:
        _run(command, "init", "--name", "lab", cwd=project)
        _run(command, "validate", cwd=project)
        completion = f'eval "$({command} completion bash)" && complete -p dbc-iac'
        _run("bash", "-c", completion)
    if extra == "emulator":
        _run(command, "demo", cwd=project)
    version = subprocess.check_output([python, "--version"], text=True).strip()
    print(f"{package.name}{f'[{extra}]' if extra else ''} works with {version}.")


def _ephemeral(tools: Path, wheel: Path) -> None:
    """Run the wheel without an installation."""
    _run(tools / "bin/pipx", "run", "--spec", str(wheel), "dbc-iac", "--version")
    if uvx := shutil.which("uvx"):
        _run(uvx, "--quiet", "--from", str(wheel), "dbc-iac", "--version")


def _run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a program; its output is printed only if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        sys.exit(f"{text}\nfailed with {done.returncode}: {' '.join(words)}")


if __name__ == "__main__":
    main()
