"""A tiny template whose machines are a bash script and a few lines of Python: real processes, no training."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cloud import resolve
from cloud.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path


NODE = r"""#!/usr/bin/env bash
set -eu
cat > "$HOTRUN_ROOT/job.json" <<'JOB'
@@JOB@@
JOB
export NODE_PROGRAM="$HOTRUN_ROOT/node.py"
cat > "$NODE_PROGRAM" <<'PYTHON'
import hashlib, json, os, pathlib, subprocess, sys, time, urllib.request
root = pathlib.Path(os.environ["HOTRUN_ROOT"])
job = json.loads((root / "job.json").read_text())
base = os.environ["HOTRUN_METADATA_URL"]
def get(path): return urllib.request.urlopen(base + path).read()
document = json.loads(get("/openstack/latest/meta_data.json"))
rank, workers = int(document["meta"]["hotrun_rank"]), int(document["meta"]["hotrun_workers"])
address = get("/latest/meta-data/local-ipv4").decode()
name = "master" if rank == 0 else f"worker-{rank}"
def say(line): print(line, flush=True)
def stage(stage, state, **more):
    words = {"node": name, "stage": stage, "state": state, **more}
    say("hotrun: " + " ".join(f"'{key}={value}'" for key, value in words.items()))
def post(url, body, headers={}):
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request)
def signal(**body):
    told = json.loads(job["signal"])
    user = {"id": told["user_id"], "password": told["password"]}
    auth = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    token = post(told["auth_url"] + "/auth/tokens", auth).headers["X-Subject-Token"]
    post(told["alarm_url"], body, {"X-Auth-Token": token})
def finish(problems=(), proven=None):
    run = root / "var/lib/hotrun/runs/r1/1"
    (run / "proof").mkdir(parents=True)
    (run / "results").mkdir()
    (run / "proof/rank0.json").write_text("{}")
    (run / "results/result.json").write_text('{"test_accuracy": 0.98}')
    nodes = [{"name": name, "rank": rank, "address": address, "state": "done", "stages": {}}]
    status = {
        "schema": 1, "run": "r1", "attempt": 1, "state": "failed" if problems else "done",
        "world_size": {"expected": workers + 1, "proven": proven or workers + 1, "backend": "gloo"},
        "nodes": nodes,
        "result": {"test_accuracy": 0.98, "epochs": 2, "train_seconds": 3.5, "images_per_second": 12345.6},
        "problems": list(problems), "gradient_bytes": 310_000_000,
    }
    (run / "status.json").write_text(json.dumps(status))
    lines = []
    for path in sorted(run.rglob("*")):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {path.relative_to(run)}\n")
    (run / "manifest.sha256").write_text("".join(lines))
    (run.parent.parent / "latest").write_text("r1/1\n")
    return status
PYTHON
cat >> "$NODE_PROGRAM" <<'PYTHON'
@@BEHAVIOUR@@
PYTHON
exec python3 -u "$NODE_PROGRAM"
"""

TRAINS = """
stage("network", "begin"); stage("network", "ok", s="0.1")
stage("train", "begin")
say("[rank %d] Epoch 1/2 loss=0.5" % rank)
stage("train", "ok", s="0.3")
if rank == 0:
    signal(status="SUCCESS", id="gate", reason="master: ready", data={"server": document["uuid"]})
    signal(status="SUCCESS", id="result", reason="done", data=finish())
"""

HANGS = """
child = subprocess.Popen(["sleep", "600"])
stage("train", "begin")
time.sleep(600)
"""


@dataclass
class Ui:
    """What a rehearsal needs of `cloud.ui`, into a string."""

    is_quiet: bool = False
    progress: Console = field(default_factory=lambda: Console(file=io.StringIO(), width=200))

    @property
    def text(self) -> str:
        """What was shown."""
        assert isinstance(self.progress.file, io.StringIO)
        return self.progress.file.getvalue()


def plan(
    behaviour: str,
    *,
    workers: int = 1,
    repo: str = "https://host.invalid/you/digits.git",
    ref: str = "",
    max_hours: float = 1.0,
) -> Any:
    """A plan whose machines run `behaviour`, lines of Python after the helpers above."""
    boot = NODE.replace("@@BEHAVIOUR@@", behaviour)
    text = json.dumps(_document(boot, workers, repo, ref, max_hours), indent=1)
    template = resolve.load(text)
    return Plan(text=text, template=template, parameters=resolve.parameters(template, {}), problems=())


def node_roots(cache: Path) -> list[Path]:
    """All roots of machines below a cache directory."""
    return sorted(path.parent for path in cache.glob("nodes/*/*/*/user_data"))


def _document(boot: str, workers: int, repo: str, ref: str, max_hours: float) -> dict[str, Any]:
    def given(name: str) -> dict[str, Any]:
        return {"get_param": name}

    job = {
        "schema": 1, "repo": given("repo"), "ref": given("ref"), "entrypoint": "main.py",
        "max_hours": max_hours,
        "boot_timeout_s": 60, "allow_single": "no", "secret": {"get_attr": ["secret", "value"]},
        "master": {"get_attr": ["master_port", "fixed_ips", 0, "ip_address"]},
        "signal": {"get_attr": ["gate_handle", "signal"]},
    }  # fmt: skip
    server = {"user_data_format": "RAW", "user_data": {"get_resource": "boot"}}
    member = {**server, "metadata": {"hotrun_rank": "INDEX", "hotrun_workers": given("workers")}}
    group = {
        "count": given("workers"), "index_var": "INDEX", "removal_policies": [{"resource_list": ["0"]}],
        "resource_def": {"type": "OS::Nova::Server", "properties": member},
    }  # fmt: skip
    config = {"str_replace_strict": {"params": {"@@JOB@@": job}, "template": boot}}
    return {
        "heat_template_version": "2018-08-31",
        "parameters": {
            "workers": {"type": "number", "default": workers}, "repo": {"type": "string", "default": repo},
            "ref": {"type": "string", "default": ref}, "requirements": {"type": "string", "default": "."},
            "signal_transport": {"type": "string", "default": "HEAT_SIGNAL"},
        },
        "resources": {
            "secret": {"type": "OS::Heat::RandomString"},
            "gate_handle": {"type": "OS::Heat::WaitConditionHandle"},
            "master_port": {"type": "OS::Neutron::Port"},
            "boot": {"type": "OS::Heat::SoftwareConfig", "properties": {"config": config}},
            "master": {
                "type": "OS::Nova::Server",
                "properties": {**member, "metadata": {**member["metadata"], "hotrun_rank": "0"}},
            },
            "worker_group": {"type": "OS::Heat::ResourceGroup", "properties": group},
        },
    }  # fmt: skip
