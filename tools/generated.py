"""Every generated file of the repository: the schemas in specs/, the reference pages in docs/, the diagnostic codes.

python -m tools.generated      # as `make schemas` does
"""

from __future__ import annotations

from pathlib import Path

from dbc_iac.cli.commands import dbc_iac
from dbc_iac.controller.fleet import fleet_schema
from dbc_iac.operations.schemas import contracts
from tools.reference_pages import pages
from tools.troubleshooting import entries

ROOT = Path(__file__).parents[1]


def generated() -> dict[str, str]:
    """Text by path, relative to the repository. Deterministic."""
    specs = {f"specs/{name}": text for name, text in {**contracts(), **fleet_schema()}.items()}
    codes = {"dbc_iac/manifest/codes.txt": "".join(f"{code}\n" for code in entries())}
    return specs | codes | {f"docs/{name}": text for name, text in pages(dbc_iac).items()}


def stale() -> dict[str, str]:
    """The generated texts that differ from their files."""
    return {name: text for name, text in generated().items() if not _has(ROOT / name, text)}


def _has(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()


def main() -> None:
    """Write what differs."""
    for name, text in stale().items():
        (ROOT / name).write_bytes(text.encode())
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
