"""Two workers reconcile five stacks from git; one of them is killed. Takes about two minutes, and leaves nothing behind.

    python -m tools.fleet_demo      # as `make fleet-demo` does

Runs the commands that a user would type, and fails if one does not end as expected.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, chdir
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx

from tests.proof.server import Server
from tools.fleet_demo import files
from tools.fleet_demo.page import csrf_of, page_lines
from tools.fleet_demo.stage import PROGRAM, DemoError, Stage

_BEARER = {"authorization": f"Bearer {files.ADMIN_TOKEN}"}


def main(program: Sequence[str] = PROGRAM) -> int:
    """Run the demo. Returns the exit code. `program`: starts dbc-iac in the background."""
    if shutil.which("git") is None:
        print("error: the demo needs git. Install it, and run the demo again.", file=sys.stderr)
        return 1
    with ExitStack() as ends:
        ends.enter_context(chdir(ends.enter_context(tempfile.TemporaryDirectory(prefix="dbc-iac-fleet-demo-"))))
        stage = Stage(program)
        before = {number: signal.signal(number, stage.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        ends.callback(lambda: [signal.signal(number, handler) for number, handler in before.items()])
        try:
            stage.database = ends.enter_context(Server.started()).address
            ends.callback(stage.end)
            story(stage)
        except BrokenPipeError:  # nobody reads on, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (DemoError, httpx.HTTPError) as error:
            if not stage.interrupted:
                print(stage.logs(), file=sys.stderr)
            print(f"error: {error}", file=sys.stderr)
            return 130 if stage.interrupted else 1
    print("\nDemo complete. No process and no file remains.")
    return 0


def story(stage: Stage) -> None:
    """The demo in the current directory, on a database. Raises DemoError."""
    here, ports = Path.cwd(), stage.ports
    stage.act("1. A database, an emulated GPU machine, a git repository with five projects, and a Fleet file.")
    files.write_world(here / "world.json")
    files.write_fleet(here / "fleet.yaml", here / "infra.git")
    stage.say(f"$ cd {here}")
    stage.say(f"$ export DBC_IAC_DATABASE='{stage.database}' DBC_IAC_WEB_TOKEN=... DBC_IAC_ADMIN_TOKEN=...")
    node, admin = f"127.0.0.1:{ports['node']}", f"127.0.0.1:{ports['admin']}"
    stage.start("emulator", "emulator", "--world", "world.json", "--listen", node, "--admin", admin)
    stage.git("init", "-q", "--bare", "-b", "main", "infra.git")
    stage.git("clone", "-q", "infra.git", "infra")
    files.write_projects(here / "infra", ports["node"], stage.database)
    _push(stage, "Five projects", first=True)
    stage.command("controller", "validate")

    stage.act("2. Two workers. Mode apply creates at once, approve waits for a person, observe changes nothing.")
    for name in ("one", "two"):
        listen = f"127.0.0.1:{ports[name]}"
        stage.start(name, "controller", "run", "--workers", "2", "--listen", listen, "--data", f"data/{name}")
    for name, phase in zip(files.STACKS, ("synced", "synced", "approval", "approval", "out-of-sync"), strict=True):
        _until_phase(stage, name, phase)
    stage.command("controller", "status")

    stage.act("3. A commit changes the memory of a VM. In the power-off window, its worker is killed.")
    (here / "infra/trainer/manifests/main.yaml").write_text(files.machine("trainer", 1, "16Gi"))
    _push(stage, "trainer: 16 GiB")
    lost = stage.until("the VM of trainer is powered off", lambda: _window(stage))
    worker = next(name for name, process in stage.processes.items() if lost["worker"].endswith(f":{process.pid}"))
    stage.kill(worker)
    stage.say("The process of the run closes the window and ends. The lease of the worker ends within a minute.")

    stage.act("4. Meanwhile the other worker goes on. Its page shows the plan that waits, which a person approves.")
    [other] = {"one", "two"} & stage.processes.keys()
    _approve_on_page(stage, f"http://127.0.0.1:{ports[other]}", "vision-prod")
    _until_phase(stage, "vision-prod", "synced")
    stage.say("vision-prod is applied. The other plan is approved by command:\n")
    digest = _stack(stage, "lab-net")["approval"]
    stage.command("controller", "approve", "lab-net", digest)
    _until_phase(stage, "lab-net", "synced")
    stage.command("controller", "history", "lab-net")

    stage.act("5. Drift: somebody opens the firewall of a VM. The next run finds and reverts it.")
    stage.until("inference has no run", lambda: not _stack(stage, "inference")["running"])
    _open_firewall(stage, admin)
    seen = stage.read("controller", "history", "inference")[0]["id"]
    stage.command("controller", "reconcile", "inference")
    found = stage.until("the drift is reverted", lambda: _applied_after(stage, "inference", seen))
    stage.command("controller", "logs", str(found["id"]))

    stage.act("6. The other worker takes over the stack of the killed one.")
    taken = stage.until("trainer is taken over", lambda: _applied_after(stage, "trainer", lost["id"]))
    if taken["worker"] == lost["worker"]:
        raise DemoError("trainer was not taken over.")
    stage.command("controller", "history", "trainer")
    stage.command("controller", "status")
    _check(admin)


def _push(stage: Stage, message: str, *, first: bool = False) -> None:
    stage.git("-C", "infra", "add", "-A")
    stage.git("-C", "infra", "commit", "-q", "-m", message)
    stage.git("-C", "infra", "push", "-q", *(("origin", "HEAD:main") if first else ()))


def _stack(stage: Stage, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = stage.read("controller", "status")
    return next((stack for stack in found if stack["name"] == name), {"phase": "", "running": False})


def _until_phase(stage: Stage, name: str, phase: str) -> None:
    def met() -> bool:
        found = _stack(stage, name)
        if found["phase"] == "failed":
            raise DemoError(f"{name} failed: {found['message']}")
        return found["phase"] == phase and not found["running"]

    stage.until(f"{name} has the phase {phase}", met)


def _window(stage: Stage) -> dict[str, Any] | None:
    """The run of trainer that has its VM powered off now. Raises DemoError if it has ended already."""
    run: dict[str, Any] = stage.read("controller", "history", "trainer")[0]
    if run["outcome"] is not None:
        if "1 updated" in run["message"]:
            raise DemoError("The run of trainer ended before its worker was killed.")
        return None
    return run if "window-opened" in stage.output("controller", "logs", str(run["id"])) else None


def _applied_after(stage: Stage, name: str, number: int) -> dict[str, Any] | None:
    """The first run of a stack after another one that has changed something, or has found nothing left to change."""
    runs: list[dict[str, Any]] = stage.read("controller", "history", name)
    done = [run for run in runs if run["id"] > number and run["outcome"] in {"applied", "unchanged"}]
    return done[-1] if done else None


def _approve_on_page(stage: Stage, site: str, name: str) -> None:
    """Sign in, read the plan, and approve it, as a browser does for a person."""
    with httpx.Client(base_url=site, follow_redirects=True, trust_env=False) as browser:
        stage.say(f"Ada signs in at {site}/login with her name and the token. {site}/ shows:")
        _quote(stage, browser.post("/login", data={"name": "Ada", "token": files.TOKEN}))
        stage.say(f"\n{site}/stacks/{name} shows:")
        _quote(stage, shown := browser.get(f"/stacks/{name}"))
        form = {"csrf": csrf_of(shown.text), "digest": _stack(stage, name)["approval"], "decision": "approved"}
        browser.post(f"/stacks/{name}/decision", data=form).raise_for_status()
        stage.say("\nAda presses `Approve this plan`.")


def _quote(stage: Stage, answer: httpx.Response) -> None:
    """Show a page up to the part about the stack. Raises DemoError for a refusal."""
    if answer.status_code != 200:
        raise DemoError(f"{answer.url} answered with status {answer.status_code}.")
    for line in takewhile(lambda line: line != "Stack", page_lines(answer.text)):
        stage.say(f"  | {line}")


def _open_firewall(stage: Stage, admin: str) -> None:
    """Change the VM of inference outside of dbc-iac, by the admin API of the emulator."""
    task_id = next(key for key, value in _machines(admin).items() if str(value["ssh_port"]) == "20002")
    filters = {"task_id": task_id, "network_filters": ["in,all,all,0.0.0.0/0,accept"]}
    change = {"id": files.NODE_ID, "do": "change_vm", "with": filters}
    bearer = '-H "Authorization: Bearer $DBC_IAC_ADMIN_TOKEN"'
    stage.say(f"$ curl {bearer} http://{admin}/vm -d '{json.dumps(change)}'")
    httpx.post(f"http://{admin}/vm", json=change, headers=_BEARER, trust_env=False).raise_for_status()


def _machines(admin: str) -> dict[str, Any]:
    """The VMs of the emulated machine."""
    answer = httpx.get(f"http://{admin}/truth", headers=_BEARER, trust_env=False)
    found: dict[str, Any] = answer.json()[files.NODE_ID]["vms"]
    return found


def _check(admin: str) -> None:
    """Compare the emulated machine with the manifests. Raises DemoError."""
    found = sorted(
        (str(vm["ssh_port"]), vm["domain"]["state"], vm["memory"] // 1024**2, list(vm["network_filters"]))
        for vm in _machines(admin).values()
    )
    if found != [("20001", "running", 16, []), ("20002", "running", 8, [])]:
        raise DemoError(f"The machine does not match the manifests: {found}.")


if __name__ == "__main__":
    sys.exit(main())
