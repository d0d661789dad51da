"""Secret references: resolved late, literals refused, values never printed."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.secrets import SecretRef, SecretResolver
from tests.projects import project, vm

PYTHON = sys.executable


def ref(**written: object) -> SecretRef:
    return SecretRef.model_validate(written)


@pytest.mark.parametrize("written", [{"env": "X"}, {"file": "a/b"}, {"exec": ["pass", "show", "x"]}])
def test_a_reference_is_dumped_as_it_was_written(written: dict[str, object]) -> None:
    assert ref(**written).model_dump(mode="json") == written


@pytest.mark.parametrize(
    "written",
    ["hunter2", 5, {}, {"env": "A", "file": "b"}, {"exec": []}, {"env": ""}, {"value": "hunter2"}, ["hunter2"]],
)
def test_an_invalid_secret_reference_is_refused_and_not_printed(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        SecretRef.model_validate(written)
    assert "hunter2" not in str(caught.value)


def test_each_type_of_reference_resolves(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from file\n")
    resolver = SecretResolver({"X": "from env"}, tmp_path)
    references = [ref(env="X"), ref(file="key"), ref(exec=[PYTHON, "-c", "print('from program')"])]
    assert [resolver.resolve(r).reveal() for r in references] == ["from env", "from file", "from program"]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (ref(env="NONE"), "environment variable NONE is not set"),
        (ref(file="none"), "cannot read the secret file none"),
        (ref(file="a\0b"), "cannot read the secret file"),
        (ref(file="binary"), "cannot read the secret file binary"),
        (ref(exec=["no-such-program"]), "cannot start the secret program"),
        (ref(exec=["a\0b"]), "cannot start the secret program"),
        (ref(exec=[PYTHON, "-c", "import sys; print('hunter2'); sys.exit('hunter2')"]), "exited with code 1"),
    ],
)
def test_a_missing_secret_is_reported_without_a_value(tmp_path: Path, reference: SecretRef, text: str) -> None:
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    with pytest.raises(DiagnosticError) as caught:
        SecretResolver({}, tmp_path).resolve(reference)
    [shown] = caught.value.diagnostics
    assert shown.code == "secret-missing"
    assert text in shown.summary
    assert "hunter2" not in repr(shown)


def test_a_secret_program_whose_child_keeps_the_pipe_open_times_out(tmp_path: Path) -> None:
    child = f"import subprocess; subprocess.run([{PYTHON!r}, '-c', 'input_ = __import__(\"time\").sleep(600)'])"
    with pytest.raises(DiagnosticError, match=r"timed out after 0\.2 s"):
        SecretResolver({}, tmp_path, exec_seconds=0.2).resolve(ref(exec=[PYTHON, "-c", child]))


def test_the_start_of_a_secret_program_is_logged_without_its_arguments(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "dbc_iac.manifest"):
        SecretResolver({}, tmp_path).resolve(ref(exec=["echo", "hunter2"]))
    assert caplog.messages == ["running the secret program echo"]


@pytest.mark.parametrize("json_flag", [[], ["--json"]], ids=["text", "json"])
def test_a_literal_secret_is_not_shown_even_by_another_problem_of_its_line(
    tmp_path: Path, json_flag: list[str]
) -> None:
    made = project(tmp_path, vm(login={"usernam": "dbc", "password": "hunter2"}))
    result = made.run("validate", *json_flag)
    assert result.code == 3
    assert "literal-secret" in result.err
    assert "hunter2" not in result.err + result.out


@pytest.mark.parametrize(
    "login",
    [
        "  login:\n    password: 'hunter2\n",
        "  login: {password: hunter2: x}\n",
        '  login: {username: dbc, "password": "hunter2}\n',
        "  login:\n\t  password: a,hunter2\n",
        "  login:\n    password: hunter2\n    password: hunter2\n",
    ],
)
def test_a_literal_secret_of_a_file_that_is_no_yaml_is_not_shown(tmp_path: Path, login: str) -> None:
    made = project(tmp_path).write({"manifests/vm.yaml": f"kind: VirtualMachine\nspec:\n{login}"})
    result = made.run("validate")
    assert (result.code, "hunter2" in result.err + result.out) == (3, False), result.err
    assert "password" in result.err


@pytest.mark.parametrize(
    ("written", "secret"),
    [
        (b"\xef\xbb\xbfpass phrase\r\n", "pass phrase"),
        (b"pass phrase\n", "pass phrase"),
        (b"pass phrase", "pass phrase"),
        (b" pass phrase \n\n", " pass phrase \n"),
    ],
)
def test_a_byte_order_mark_and_one_line_end_are_removed_from_a_secret(
    tmp_path: Path, written: bytes, secret: str
) -> None:
    (tmp_path / "secret").write_bytes(written)
    resolver = SecretResolver({}, tmp_path)
    printing = "import sys; sys.stdout.buffer.write(open('secret', 'rb').read())"
    assert resolver.resolve(ref(file="secret")).reveal() == secret
    assert resolver.resolve(ref(exec=[PYTHON, "-c", printing])).reveal() == secret


@pytest.mark.parametrize("written", [b"", b"\n", b"\xef\xbb\xbf\r\n"])
def test_an_empty_secret_file_is_refused(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "secret").write_bytes(written)
    with pytest.raises(DiagnosticError, match="secret file secret is empty"):
        SecretResolver({}, tmp_path).resolve(ref(file="secret"))


@pytest.mark.parametrize("code", [0, 1])
def test_a_program_runs_once_also_where_it_fails_and_several_threads_ask(tmp_path: Path, code: int) -> None:
    script = f"open('runs', 'a').write('x'); print('secret'); raise SystemExit({code})"
    resolver, asked = SecretResolver({}, tmp_path), ref(exec=[PYTHON, "-c", script])

    def resolved(_: int) -> str:
        try:
            return resolver.resolve(asked).reveal()
        except DiagnosticError as error:
            return error.diagnostics[0].code

    with ThreadPoolExecutor(4) as threads:
        found = {*threads.map(resolved, range(8))}
    assert found == ({"secret"} if code == 0 else {"secret-missing"})
    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.parametrize(
    "code", ["while True: os.write(1, b'x' * 65536)", "os.fork() or [os.write(1, b'x' * 65536) for _ in range(99)]"]
)
def test_a_program_that_prints_more_than_a_secret_is_ended(tmp_path: Path, code: str) -> None:
    with pytest.raises(DiagnosticError, match="printed more than 1 MiB"):
        SecretResolver({}, tmp_path).resolve(ref(exec=[PYTHON, "-c", f"import os\n{code}"]))
