"""Git as a subprocess: fetches of one commit into a mirror of this machine, and checkouts of it.

No prompts, hooks, submodules, redirects or configuration of the machine; https, ssh and file only; limits on size and
time. Credentials are passed in the environment of git, never in arguments, and are in no message.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import resource
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field

from dbc_iac.controller.fleet import SourceSpec
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.secret import SecretText

MAX_FILES = 100_000
"""Maximum number of files of a commit."""
_HEAD, _COMMIT = "refs/dbc-iac/head", "refs/dbc-iac/commit"
_KEPT_SIZES = 4
"""A mirror larger than this many checkouts is made again: old commits are not needed."""
_CONFIGURATION = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "gpg.format": "ssh",
    "gpg.openpgp.program": "/bin/false",
    "gpg.x509.program": "/bin/false",
    "http.followRedirects": "false",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
}
_LOCAL_LIMIT_SECONDS = 60


class FetchLimits(Struct, frozen=True):
    """Limits of a fetch and of a checkout: bytes, and seconds."""

    size: int
    seconds: float


class Repository(Struct, frozen=True):
    """The mirror of a source in a directory of this machine.

    `signers`: file of allowed signers; None: any commit is accepted. Methods raise DiagnosticError.
    """

    source: SourceSpec
    directory: Path
    limits: FetchLimits
    credentials: SecretText | None = None
    signers: Path | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fetch(self) -> str:
        """Fetch the ref of the source; gives its commit, whose signature is verified."""
        async with self._turn:
            return await self._fetch(full_ref(self.source.ref), _HEAD)

    async def require(self, commit: str) -> None:
        """Fetch a commit, if the mirror does not have it: another machine has fetched it first."""
        if await self._has(commit):  # without a turn: a slow fetch of the source delays no run
            return
        async with self._turn:
            if not await self._has(commit):
                await self._fetch(commit, _COMMIT)

    async def tree(self, commit: str, path: str) -> str:
        """Id of the tree of a directory in a commit; `none` and the commit if there is no such directory."""
        name = f"{commit}^{{tree}}" if path == "." else f"{commit}:{path}"
        result = await self._run(["rev-parse", "--verify", "--quiet", "--end-of-options", name])
        return result.out.strip() if result.code == 0 else f"none {commit}"

    async def checkout(self, commit: str, to: Path) -> None:
        """Write the files of a commit to a new directory. Links that lead out of it are refused."""
        await self._check_size(commit)
        await asyncio.to_thread(to.mkdir, parents=True)
        index = to.with_name(f"{to.name}.index")
        place = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(to)}
        try:
            for arguments in (["read-tree", commit], ["checkout-index", "--all", "--force", "--quiet"]):
                result = await self._run(arguments, environ=place, cwd=to)
                if result.code != 0:
                    raise DiagnosticError(self._problem("git-checkout", f"cannot check out {commit[:12]}", result.err))
        finally:
            index.unlink(missing_ok=True)
        await asyncio.to_thread(_refuse_links_out, to)

    async def _fetch(self, ref: str, to: str) -> str:
        await self._prepare()
        arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        # git waits for the refs on its standard input: the limit on files is set before it begins.
        result = await self._run(
            [*arguments, "--force", "--stdin", "--", self.source.git],
            given=f"+{ref}:{to}\n",
            configuration=self._login(),
            seconds=self.limits.seconds,
            file_size=self.limits.size,
        )
        if result.code != 0:
            raise DiagnosticError(self._fetch_problem(result))
        found = await self._run(["rev-parse", "--verify", "--quiet", f"{to}^{{commit}}"])
        commit = found.out.strip()
        if found.code != 0:
            raise DiagnosticError(self._problem("git-fetch", f"{self.source.ref} is not a commit", ""))
        await self._verify(commit)
        return commit

    async def _prepare(self) -> None:
        if await asyncio.to_thread(_size, self.directory) > _KEPT_SIZES * self.limits.size:
            await asyncio.to_thread(shutil.rmtree, self.directory)
        if not (self.directory / "HEAD").exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            result = await self._run(["init", "--quiet", "--bare", "--template=", "--", str(self.directory)])
            if result.code != 0:
                raise DiagnosticError(self._problem("git-fetch", "cannot create the mirror", result.err))

    async def _has(self, commit: str) -> bool:
        if not (self.directory / "HEAD").exists():
            return False
        return (await self._run(["cat-file", "-e", f"{commit}^{{tree}}"])).code == 0

    async def _verify(self, commit: str) -> None:
        if self.signers is None:
            return
        try:
            await asyncio.to_thread(lambda path: path.open("rb").close(), self.signers)
        except OSError as error:
            raise failure(
                "git-signature",
                "cannot read the file of allowed signers",
                f"{self.signers}: {error.strerror}.",
                "Correct `signers` of the source, or the permissions of the file.",
            ) from None
        signers = {"gpg.ssh.allowedSignersFile": str(self.signers)}
        result = await self._run(["verify-commit", commit], configuration=signers)
        if result.code != 0:
            raise failure(
                "git-signature",
                f"commit {commit[:12]} has no signature of an allowed signer",
                _last_line(result.err),
                "Sign the commit with an ssh key of the file of `signers`.",
                exit_code=ExitCode.REFUSED,
            )

    async def _check_size(self, commit: str) -> None:
        result = await self._run(["ls-tree", "-r", "-l", "-z", "--full-tree", commit])
        if result.code != 0:
            raise DiagnosticError(self._problem("git-checkout", f"cannot read commit {commit[:12]}", result.err))
        sizes = [entry.split(None, 4)[3] for entry in result.out.split("\0") if entry]
        total = sum(int(size) for size in sizes if size.isdecimal())
        if total > self.limits.size or len(sizes) > MAX_FILES:
            summary = f"commit {commit[:12]} is too large: {total // 1024**2} MiB in {len(sizes)} files"
            detail = f"At most {self.limits.size // 1024**2} MiB and {MAX_FILES} files are checked out."
            raise failure("git-size", summary, detail, "Remove the large files, or raise `limits.checkout`.")

    def _login(self) -> dict[str, str]:
        """Settings with the credentials, as a header: git asks nobody, and no program prints them."""
        if self.credentials is None:
            return {}
        pair = f"{self.source.username}:{self.credentials.reveal()}".encode()
        return {"http.extraHeader": f"Authorization: Basic {base64.b64encode(pair).decode()}"}

    def _fetch_problem(self, result: _Result) -> Diagnostic:
        if result.late:
            summary, detail = f"the fetch took more than {self.limits.seconds:g} s", "It was stopped."
            return Diagnostic(
                "git-fetch", Severity.ERROR, summary, detail, "Check the server, or raise `limits.fetch`."
            )
        if result.code in {-signal.SIGXFSZ, 128 + signal.SIGXFSZ} or _TOO_LARGE.search(result.err):
            summary = f"the fetch has more than {self.limits.size // 1024**2} MiB"
            return Diagnostic(
                "git-size", Severity.ERROR, summary, "", "Remove large files, or raise `limits.checkout`."
            )
        return self._problem("git-fetch", f"cannot fetch {self.source.ref}", result.err)

    def _problem(self, code: str, summary: str, err: str) -> Diagnostic:
        line = _last_line(err)
        remedy = "Check `git`, `ref` and `credentials` of the source."
        if _DISK.search(err):
            remedy = "Check the free space and the permissions of the data directory of the controller."
        return Diagnostic(code, Severity.ERROR, summary, line, remedy, exit_code=ExitCode.ERROR)

    async def _run(
        self,
        arguments: Sequence[str],
        *,
        given: str = "",
        environ: Mapping[str, str] | None = None,
        configuration: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        seconds: float = _LOCAL_LIMIT_SECONDS,
        file_size: int = 0,
    ) -> _Result:
        """Run git on the mirror. `file_size`: most bytes of a file that it writes."""
        settings = {**_CONFIGURATION, **(configuration or {})}
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd or self.directory,
            env={**_environment(self.directory, settings), **(environ or {})},
            start_new_session=True,
        )
        try:
            if file_size:
                with suppress(ProcessLookupError):  # it has ended: its message tells why
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_size, file_size))
            async with asyncio.timeout(seconds):
                out, err = await process.communicate(given.encode())
        except TimeoutError:
            return _Result(-signal.SIGKILL, "", "", late=True)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # also its helpers, such as ssh
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        assert process.returncode is not None  # noqa: S101 - it was awaited
        return _Result(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


class _Result(Struct, frozen=True):
    code: int
    out: str
    err: str
    late: bool = False


_PASSED = ("PATH", "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "TMPDIR", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
_DISK = re.compile("No space left|[Uu]nable to (write|create)|[Ff]ailed to write|cannot mkdir|Read-only file system")
_TOO_LARGE = re.compile("File too large|signal 25|SIGXFSZ|File size limit exceeded")


def _environment(directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of git: nothing of the controller's but the way to programs, the ssh agent and the proxy."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    given = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(settings)}
    given |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(settings.values())}
    return {
        **kept,
        **given,
        "GIT_ALLOW_PROTOCOL": "https:ssh:file",
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DIR": str(directory),
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": str(directory),
        "LC_ALL": "C",
    }


def full_ref(ref: str) -> str:
    """The full name of a ref: a short one is a branch, never a tag of the same name."""
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"


def _last_line(err: str) -> str:
    """The message of git that explains a failure."""
    lines = [line for line in err.splitlines() if line.strip()]
    fatal = [line.partition(": ")[2] for line in lines if line.startswith(("fatal:", "error:"))]
    return (fatal or lines[-1:] or [""])[0][:300]


def _size(directory: Path) -> int:
    total = 0
    for root, _, files in os.walk(directory):
        for name in files:
            with suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def _refuse_links_out(directory: Path) -> None:
    """Raise DiagnosticError if a link of a checkout leads out of it."""
    inside = Path(os.path.realpath(directory))
    for root, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(root) / name
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                summary = f"the link {path.relative_to(directory)} leads out of the repository"
                remedy = "Remove it, or replace it by a file."
                raise failure("git-link", summary[:72], remedy=remedy)
