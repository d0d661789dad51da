"""Loading of a project: project file, variables and all manifests. One unreadable file makes the project incomplete."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from msgspec import Struct, field
from pydantic import BaseModel

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Locator, Severity, SourceRange, failure
from dbc_iac.files.reading import file_problem, read_inside
from dbc_iac.manifest.expand import Expander, ParsedResource
from dbc_iac.manifest.globs import Place, matching
from dbc_iac.manifest.header import DEFAULT_STACK, FIELDS, check_header, without_anchors
from dbc_iac.manifest.origins import Variables, merge_instances
from dbc_iac.manifest.project import FILE, EnvironmentSpec, ProjectSpec
from dbc_iac.manifest.source_map import SourceLocator, SourceMap
from dbc_iac.manifest.templates import Templates
from dbc_iac.manifest.validate import hide_literals, parse
from dbc_iac.manifest.variables import VariableFile, resolve, settings
from dbc_iac.manifest.yaml import MAX_BYTES, YamlDocument, scan_yaml

_LOG = logging.getLogger("dbc_iac.manifest")
__all__ = ["LoadedProject", "ParsedResource", "load_project"]


class LoadedProject(Struct, frozen=True):
    """A project as read from its files."""

    name: str
    project: ProjectSpec
    resources: tuple[ParsedResource, ...]
    diagnostics: Diagnostics
    broken: frozenset[str]
    """Addresses of invalid documents, which are not among the resources."""
    whole: bool
    """Whether the address of every document is known, the invalid ones included."""
    where: Locator
    """Source range of a value of the project file, by its path from the root of the document."""
    place: Callable[[str], SourceRange | None]
    """Source range of a value of the project file, by its dotted path below `spec`."""
    names: Mapping[str, Any] = field(default_factory=dict)
    """Names available to templates: `var`, `env`, `project`."""
    groups: frozenset[str] = frozenset()
    """Addresses of documents with `forEach`, also of those without instances."""

    def stack(self, environment: str, given: str | None) -> str:
        """The stack of a run: that of its environment, or `given`. Raises DiagnosticError for another environment's."""
        environments = self.project.environments
        own = environments[environment].stack if environment in environments else None
        if own is not None and given not in {None, own}:
            summary = f"environment {environment} has stack {own}, not {given}"
            raise self._other_environment(environment, summary, "Remove --stack.")
        stack = own or given or DEFAULT_STACK
        for name, other in environments.items():
            if other.stack == stack and name != environment:
                summary = f"stack {stack} belongs to environment {name}"
                if own is None:
                    raise self._other_environment(name, summary, f"Use -e {name}.")
                summary = f"environments {environment} and {name} share stack {stack}"
                raise self._other_environment(name, summary, "Give each its own `stack`.")
        return stack

    def _other_environment(self, name: str, summary: str, remedy: str) -> DiagnosticError:
        detail = "With the values of another environment, a plan would change or delete its resources."
        place = self.place(f"environments.{name}.stack")
        return failure("stack-of-environment", summary, detail, remedy, place)


def load_project(
    directory: Path,
    *,
    environment: str,
    variables: Mapping[str, str],
    variable_files: Sequence[Path],
    environ: Mapping[str, str],
    models: Mapping[str, type[BaseModel]],
    sources: dict[str, str],
    only_project_file: bool = False,
) -> LoadedProject:
    """Load a project. Raises DiagnosticError for an invalid project file; problems of manifests are in the result.

    `sources` receives the text of each file read, by name, also when this raises: diagnostics quote them.
    `only_project_file`: without variables and resources, whose problems are not found.
    """
    loader = _Loader(directory, sources)
    name, project, rest = loader.project()
    chosen = EnvironmentSpec() if not environment else loader.environment(project, environment)
    places = (loader.where.marks.value, loader.where)
    if only_project_file:
        return LoadedProject(name, project, (), Diagnostics(), frozenset(), False, *places)
    context = loader.context(name, project, environment, chosen, variables, variable_files, environ)
    reader = Expander(models, Templates(context, hidden=loader.variables.hide), loader.found, loader.variables)
    try:
        resources = [r for d in (*rest, *loader.manifests(project)) for r in reader.read(d)]
    finally:
        if loader.found.error_count:
            hide_literals(loader.found, sources)
            merge_instances(loader.found)
    whole, broken = reader.whole and loader.whole, frozenset(reader.broken)
    groups = frozenset(reader.groups)
    return LoadedProject(name, project, tuple(resources), loader.found, broken, whole, *places, context, groups)


class _Loader(Struct):
    directory: Path
    sources: dict[str, str]
    found: Diagnostics = field(default_factory=Diagnostics)
    whole: bool = True
    where: SourceLocator = SourceLocator(SourceMap())
    """Source range of a dotted path below `spec` of the project file."""
    variables: Variables = Variables()

    def read(self, path: Path, place: Place = lambda: None) -> list[YamlDocument]:
        """Documents of a file that the project file names at `place`. Problems are collected."""
        name = str(path)
        try:
            data = read_inside(path, self.directory, MAX_BYTES)
        except OSError as error:
            # Its resources must not be planned for deletion.
            self.found.add(file_problem(path, error, source=place()))
            self.whole = False
            return []
        self.sources[name] = data.decode("utf-8", "replace")
        documents, whole = scan_yaml(data, name, self.found)
        self.whole = self.whole and whole
        _LOG.debug("read %s: %d documents", name, len(documents))
        return documents

    def project(self) -> tuple[str, ProjectSpec, list[YamlDocument]]:
        """Name and spec of the project, and the other documents of the same file."""
        path = self.directory / FILE
        if not os.path.exists(path):  # noqa: PTH110 - no exception, also for an invalid name
            if os.path.isfile(self.directory):  # noqa: PTH113 - the same
                summary = f"expected a project directory, got the file {self.directory.name}"
                self._stop("no-project", summary, f"Name the directory that contains {FILE}.")
            self._stop(
                "no-project",
                f"no {FILE} in {'this directory' if self.directory == Path() else self.directory}",
                "Use -C DIR, or create a project with `dbc-iac init`.",
            )
        documents = self.read(path)
        self.found.raise_errors()
        projects = [d for d in documents if isinstance(d.value, dict) and d.value.get("kind") == "Project"]
        if len(projects) != 1:
            places = [d.marks.value(("kind",)) for d in projects or documents]
            source = places[-1] if places else None
            found = f"{len(projects)} documents" if projects else "no document"
            remedy = "Keep exactly one." if projects else f"Write `kind: Project` into {FILE}."
            self._stop("no-project", f"{FILE} has {found} of kind Project", remedy, source)
        document = projects[0]
        self.where = SourceLocator(document.marks)
        value = without_anchors(document.value)
        name = check_header(value, document.marks, ("Project",), FIELDS, self.found)
        written = value.get("spec")
        given = isinstance(written, dict)
        spec = parse(ProjectSpec, written, document.marks, ("spec",), self.found) if given else None
        if name is None or spec is None:
            hide_literals(self.found, self.sources)
            self.found.raise_errors()
            raise AssertionError("an invalid project file has errors")
        return name, spec, [d for d in documents if d is not document]

    def environment(self, project: ProjectSpec, name: str) -> EnvironmentSpec:
        """The settings of an environment. Raises DiagnosticError for an unknown one."""
        if name not in project.environments:
            known = ", ".join(sorted(project.environments))
            remedy = f"Use one of: {known}." if known else "Declare it under `environments` in the project file."
            place = self.where("environments") if known else None
            self._stop("unknown-environment", f"unknown environment {name}", remedy, place)
        return project.environments[name]

    def context(
        self,
        name: str,
        project: ProjectSpec,
        environment: str,
        chosen: EnvironmentSpec,
        variables: Mapping[str, str],
        variable_files: Sequence[Path],
        environ: Mapping[str, str],
    ) -> dict[str, Any]:
        """Names available to templates: `var`, `env`, `project`."""
        files = [
            VariableFile(self.directory / name, self.directory, self.where(f"environments.{environment}.variables.{n}"))
            for n, name in enumerate(chosen.variables)
        ]
        try:
            found = settings(files, environ, variables, [*map(VariableFile, variable_files)], self.sources)
        except DiagnosticError as error:
            raise DiagnosticError(*self.found, *error.diagnostics) from None
        before = self.found.error_count
        known = resolve(project.variables, found, self.found, self.where) if project.variables or found else {}
        unset = {n for n in project.variables if n not in known or known[n].value is None}
        self.variables = Variables(known, frozenset(unset if self.found.error_count > before else ()))
        values = {n: setting.value for n, setting in known.items()}
        return {"var": values, "env": environment, "project": name}

    def manifests(self, project: ProjectSpec) -> list[YamlDocument]:
        """Documents of all manifests, by file name. A glob that matches no file is an error."""
        documents: list[YamlDocument] = []
        seen: set[Path] = set()
        for index, pattern in enumerate(project.manifests):
            place = partial(self.where, f"manifests.{index}")
            paths = matching(self.directory, pattern, self.found, place)
            if not paths:
                self.whole = False
                self.found.add(
                    Diagnostic(
                        "empty-glob",
                        Severity.ERROR,
                        f"manifests: {pattern} matches no files",
                        "Without its files, all their resources would be planned for deletion.",
                        "Add a manifest, or correct the glob in the project file.",
                        place(),
                    )
                )
            for path in paths:
                if path not in seen and path != self.directory / FILE:
                    seen.add(path)
                    documents += self.read(path, place)
        return documents

    def _stop(self, code: str, summary: str, remedy: str, source: SourceRange | None = None) -> NoReturn:
        self.found.add(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=source))
        self.found.raise_errors()
        raise AssertionError("an error was added")
