from __future__ import annotations

import pytest

from cloud import config
from cloud.errors import RequestError
from cloud.request.profiles import FLAVORS, PROFILES
from cloud.request.settings import BY_KEY

FLAGS = {"repo": "https://example.org/a/b", "workers": "1", "entrypoint": "m.py", "image": "some-image"}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profiles_defaults_are_values_that_its_rules_take(profile: str) -> None:
    """Every default has a setting, and the setting's rule accepts it."""
    for key, text in PROFILES[profile].items():
        BY_KEY[key].rule(text)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_given_value_wins_over_the_profile(profile: str) -> None:
    """A profile only fills in what nobody said."""
    found = config.cluster(config.request({**FLAGS, "profile": profile, "worker_flavor": "mine"}))

    assert (found.profile, found.image, found.worker.flavor) == (profile, "some-image", "mine")


def test_bare_metal_has_no_security_group() -> None:
    """Its networks refuse one."""
    found = config.cluster(config.request({**FLAGS, "profile": "chameleon-baremetal"}))

    assert (found.network.security_group, found.master.flavor) == (False, "baremetal")


def test_other_clouds_must_name_their_image() -> None:
    """No name of an image is common to all clouds."""
    flags = {key: value for key, value in FLAGS.items() if key != "image"}
    with pytest.raises(RequestError) as caught:
        config.cluster(config.request({**flags, "profile": "openstack"}))

    assert [problem.what for problem in caught.value.problems] == ["--image is missing"]


def test_the_default_flavor_has_a_known_size() -> None:
    """The quota of the usual answer can be said."""
    assert FLAVORS[PROFILES["chameleon-kvm"]["master_flavor"]] == (2, 4)
