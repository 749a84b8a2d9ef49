"""A request becomes the model: every setting has its field, and the pages say so."""

from __future__ import annotations

from cloud import config, model
from cloud.request import reference
from cloud.request.profiles import DEFAULT_PROFILE, PROFILES
from cloud.request.settings import BY_KEY, SETTINGS
from tests.unit.asked import REQUIRED, cluster


def test_three_flags_are_enough() -> None:
    """All the rest has the model's defaults."""
    job = model.Job(repo=REQUIRED["repo"], entrypoint="main.py")

    assert model.Cluster(job=job, workers=2) == cluster()


def test_every_field_of_the_model_can_be_set() -> None:
    """Each field has one setting; only the resolved commit is found, not given."""
    kinds = {
        "job": model.Job, "master": model.NodeGroup, "worker": model.NodeGroup, "network": model.Network,
        "slurm": model.Slurm,
    }  # fmt: skip
    expected = {f"{part}.{name}" for part, kind in kinds.items() for name in kind.__dataclass_fields__}
    expected |= set(model.Cluster.__dataclass_fields__) - set(kinds)

    assert {setting.path for setting in SETTINGS} == expected - {"job.commit"}


def test_every_value_goes_to_its_own_field() -> None:
    """A value that differs from the default arrives in the field of its setting and in no other."""
    values = {
        "repo": "https://example.org/a/b", "ref": "v1", "workers": "7", "requirements": "train", "args": "--lr 1",
        "entrypoint": "x/go.py", "setup": "make", "env": ("A=1",), "engine": "torch",
        "max_hours": "1.5", "nproc_per_node": "4", "torch_index": "cpu", "allow_single": True,
        "restarts": "3", "adapt": True, "swap": "4G", "share": "nfs",
        "profile": "openstack", "image": "ubuntu", "master_flavor": "big", "worker_flavor": "small",
        "key_name": "laptop", "external_network": "ext", "network_cidr": "10.0.0.0/24",
        "ssh_cidr": "192.0.2.0/24", "dns": "1.1.1.1, 9.9.9.9", "security_groups": "no",
        "master_reservation": "aa-1", "worker_reservation": "bb-2", "boot_timeout": "600",
        "signal_transport": "NO_SIGNAL", "target": "slurm", "partition": "gpu", "account": "proj", "qos": "high",
        "time": "90", "mem": "64G", "cpus_per_task": "16", "gpus": "a100:4", "constraint": "ib",
        "nodelist": "n[1-8]", "modules": "python, cuda",
    }  # fmt: skip
    assert set(values) == set(BY_KEY)

    found = config.cluster(config.request(values))

    assert found == model.Cluster(
        job=model.Job(
            repo="https://example.org/a/b", ref="v1", requirements="train", entrypoint="x/go.py", args="--lr 1",
            setup="make", env=("A=1",), engine="torch", max_hours=1.5, nproc_per_node="4",
            torch_index="cpu", allow_single=True, restarts=3, adapt=True, swap="4G", share="nfs",
        ),
        workers=7, image="ubuntu", key_name="laptop", profile="openstack", boot_timeout_s=600,
        master=model.NodeGroup(flavor="big", reservation="aa-1"),
        worker=model.NodeGroup(flavor="small", reservation="bb-2"),
        network=model.Network(
            cidr="10.0.0.0/24", dns=("1.1.1.1", "9.9.9.9"), external="ext", ssh_cidr="192.0.2.0/24",
            security_group=False,
        ),
        signal_transport="NO_SIGNAL", target="slurm",
        slurm=model.Slurm(
            partition="gpu", account="proj", qos="high", time="90", mem="64G", cpus_per_task=16, gpus="a100:4",
            constraint="ib", nodelist="n[1-8]", modules=("python", "cuda"),
        ),
    )  # fmt: skip


def test_the_default_profile_is_the_models() -> None:
    """Its defaults are written out, and they are the same."""
    plain = model.Cluster(job=model.Job(repo="https://a/b", entrypoint="m.py"), workers=0)

    assert plain.profile == DEFAULT_PROFILE
    for key, text in PROFILES[DEFAULT_PROFILE].items():
        assert BY_KEY[key].rule(text) == BY_KEY[key].default


def test_the_page_of_settings_is_current() -> None:
    """docs/configuration.md is what `python3 -m cloud.request.reference` prints."""
    from cloud import assets

    path = assets.MODEL.parent.parent / "docs" / "configuration.md"

    assert reference.page() == path.read_text(encoding="utf-8"), (
        "python3 -m cloud.request.reference > docs/configuration.md"
    )
