"""`--share` from the flag to the job's line and the archive."""

from __future__ import annotations

import pytest

from cloud import config, hot
from cloud.errors import RequestError
from cloud.slurm import misplaced
from cloud.template import archive
from tests.unit.clusters import cluster

ASKED = {"repo": "https://github.com/you/digits.git", "workers": "1", "entrypoint": "train.py"}


def test_the_job_and_the_archive_have_it_only_where_it_is_asked_for() -> None:
    """Another template's line and archive are what they were."""
    usual, asked = cluster(), cluster(share="nfs")
    assert "share" not in hot.job(usual)
    assert hot.job(asked)["share"] == "nfs"
    assert (hot.parts(usual.job), hot.parts(asked.job)) == (frozenset(), frozenset({"share"}))
    assert "node/share.py" not in archive.node_files(hot.parts(usual.job))
    assert "node/share.py" in archive.node_files(hot.parts(asked.job))


def test_it_is_none_or_nfs() -> None:
    """Anything else is refused with what is possible; none is as if it had not been given."""
    assert config.cluster(config.request({**ASKED, "share": "nfs"})).job.share == "nfs"
    assert config.cluster(config.request({**ASKED, "share": "none"})) == config.cluster(config.request(ASKED))
    with pytest.raises(RequestError, match="share is") as caught:
        config.cluster(config.request({**ASKED, "share": "efs"}))
    assert [each.code for each in caught.value.problems] == ["choice-unknown"]


def test_it_means_nothing_on_a_slurm_cluster() -> None:
    """An error for the flag, with what is there instead."""
    [problem] = misplaced.problems(config.request({**ASKED, "target": "slurm", "share": "nfs"}))
    assert (problem.code, problem.level) == ("setting-of-other-target", "error")
    assert problem.what == "share means nothing for --target slurm"
    assert "shared already" in problem.fix


def test_machines_may_speak_nfs_to_each_other_and_nobody_else_to_them() -> None:
    """From outside port 22 alone; between members of the group every port, 2049 too."""
    rules = hot.resources(cluster(share="nfs"), "")["security_group"]["properties"]["rules"]
    outside = [rule for rule in rules if "remote_ip_prefix" in rule]
    assert [(rule["port_range_min"], rule["port_range_max"]) for rule in outside] == [(22, 22)]
    assert [rule for rule in rules if rule not in outside] == [{"remote_mode": "remote_group_id"}]
