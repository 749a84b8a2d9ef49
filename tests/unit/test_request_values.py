"""The rules of single values: what is taken, what is refused, and in which words."""

from __future__ import annotations

import pytest

from cloud import config, model
from cloud.request import rules
from tests.unit.asked import cluster, flags, problems, refused


@pytest.mark.parametrize("value", ["-1", "255", "abc", "", " ", "3.5", "1e2", "²", "99999999999999999999"])
def test_workers_are_a_whole_number_from_0_to_254(value: str) -> None:
    """Anything else is refused with the value that was found."""
    problem = refused("workers", value)

    assert problem.where == "flag --workers"
    assert value.strip() in problem.what


def test_the_number_and_the_limit_are_said() -> None:
    """A value that is too large is shown beside what is possible."""
    assert refused("workers", "300").what == "workers is 300, but at most 254 are possible"


@pytest.mark.parametrize("workers", ["0", "254"])
def test_the_limits_themselves_are_possible(workers: str) -> None:
    """The default network holds the largest cluster."""
    assert int(workers) == cluster(workers=workers).workers


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("http://github.com/you/digits", "repo-not-https"),
        ("git@github.com:you/digits.git", "repo-not-https"),
        ("ssh://git@github.com/you/digits.git", "repo-not-https"),
        ("git://github.com/you/digits.git", "repo-not-https"),
        ("ext::sh -c touch% /tmp/x", "repo-not-https"),
        ("file:///srv/digits", "repo-not-https"),
        ("github.com/you/digits", "repo-not-https"),
        ("--upload-pack=touch", "repo-malformed"),
        ("https://github.com/you/my digits", "repo-malformed"),
        ("https://github.com/you/digits?token=abc", "repo-malformed"),
        ("https://", "repo-malformed"),
        ("https://github.com", "repo-malformed"),
        ("https://-x/y", "repo-malformed"),
        ("https://github.com/you/digits\n", "characters-refused"),
        ("https://github.com/you/\x1b[2Jdigits", "characters-refused"),
        ("https://github.com/\udcff", "characters-refused"),
        ("https://github.com/" + "a" * 2000, "value-too-long"),
        ("", "value-empty"),
    ],
)
def test_only_plain_https_addresses_are_taken(value: str, code: str) -> None:
    """Everything else is refused under the reason's own code."""
    assert refused("repo", value).code == code


@pytest.mark.parametrize("scheme", ["https", "http", "ssh", "git+ssh"])
def test_credentials_are_never_repeated(scheme: str) -> None:
    """An address with a password is refused, and the message does not hold it."""
    problem = refused("repo", f"{scheme}://me:hunter2@github.com/you/digits.git")

    assert "hunter2" not in str(problem)
    assert "me:" not in str(problem)


def test_an_ssh_address_is_answered_with_its_https_form() -> None:
    """The hint can be typed as it is."""
    assert "write https://github.com/you/digits.git" == refused("repo", "git@github.com:you/digits.git").fix


@pytest.mark.parametrize("key", ["requirements", "entrypoint"])
@pytest.mark.parametrize("value", ["../main.py", "a/../../main.py", "/etc/main.py", "-m.py", "~/main.py", "a\\b.py", "",
                                   "a\nb.py", "x" * 300 + ".py"])  # fmt: skip
def test_paths_stay_inside_the_repository(key: str, value: str) -> None:
    """Absolute ones, `..`, leading `-` and `~`, backslashes and control characters are refused."""
    refused(key, value)


def test_paths_are_written_in_their_shortest_form() -> None:
    """`./train/` and `train` make the same template."""
    assert cluster(requirements="./train/").job.requirements == "train"
    assert cluster(requirements="./").job.requirements == "."


def test_the_requirements_file_itself_is_answered_with_its_directory() -> None:
    """Naming the file is a near miss."""
    assert refused("requirements", "train/requirements.txt").fix == "write train"


@pytest.mark.parametrize("value", ["main", "main.sh", ".py", "dir/"])
def test_the_entrypoint_is_a_python_file(value: str) -> None:
    """It must have a name that ends in .py."""
    refused("entrypoint", value)


@pytest.mark.parametrize("value", ["a b", "a..b", "-x", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "@", "/a",
                                   "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "a,b", "x" * 201])  # fmt: skip
def test_a_ref_follows_gits_rules(value: str) -> None:
    """What git would not accept as a name is refused before git is asked."""
    refused("ref", value)


@pytest.mark.parametrize(
    "value", ["", "main", "feature/x-1", "v1.0", "a" * 40, "refs/heads/main", "release_2+x"]
)
def test_usual_refs_are_taken(value: str) -> None:
    """Branches, tags and commits stay as they are."""
    assert cluster(ref=value).job.ref == value


@pytest.mark.parametrize("key", ["args", "setup"])
@pytest.mark.parametrize(
    "value", ["a 'b", 'a "b', "a \\", "a\nb", "a\x00b", "x" * (model.MAX_ARGS_CHARACTERS + 1)]
)
def test_words_can_be_split(key: str, value: str) -> None:
    """Open quotation marks, control characters and too long text are refused."""
    refused(key, value)


@pytest.mark.parametrize("value", ["A", "=1", "1A=2", "A B=1", "A-B=1", "HOTRUN_X=1", "MASTER_ADDR=1", "RANK=0",
                                   "WORLD_SIZE=1", "TORCHELASTIC_RUN_ID=1", "SLURM_JOB_ID=1", "A=x\ny"])  # fmt: skip
def test_environment_has_good_names_and_none_of_ours(value: str) -> None:
    """What every machine gets its own value of can't be set for all."""
    refused("env", (value,))


@pytest.mark.parametrize("name", ["HF_TOKEN", "MY_SECRET", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
                                  "WANDB_API_KEY", "github_token"])  # fmt: skip
def test_secrets_are_refused_without_their_value(name: str) -> None:
    """Everybody who sees the template could read them; the message does not hold them either."""
    problem = refused("env", (f"{name}=hunter2",))

    assert problem.code == "env-secret"
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "pair", ["TOKENIZERS_PARALLELISM=false", "OMP_NUM_THREADS=2", "A=", "A=b=c", "KEYBOARD=de"]
)
def test_harmless_variables_are_taken(pair: str) -> None:
    """A name that only sounds like a secret is none."""
    assert cluster(env=(pair,)).job.env == (pair,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_cidr", "10.8.0.0"), ("network_cidr", "10.8.0.1/23"), ("network_cidr", "10.8.0.0/40"),
        ("network_cidr", "fd00::/64"), ("ssh_cidr", "anywhere"), ("dns", "dns.example.org"), ("engine", "jax"),
        ("engine", "Torch"), ("profile", "aws"), ("image", ""), ("master_flavor", " "), ("boot_timeout", "-1"),
        ("max_hours", "0"), ("max_hours", "nan"), ("max_hours", "inf"), ("max_hours", "x"), ("nproc_per_node", "0"),
        ("nproc_per_node", "many"), ("torch_index", "nightly"), ("torch_index", "https://a:b@example.org/x"),
        ("boot_timeout", "59"), ("boot_timeout", "43201"), ("security_groups", "maybe"),
        ("signal_transport", "CFN_SIGNAL"), ("key_name", "a\nb"), ("worker_reservation", "a b"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(key: str, value: str) -> None:
    """Each rule speaks of its own key."""
    refused(key, value)


def test_the_network_holds_all_machines() -> None:
    """A range that is too small is said with how many addresses are needed."""
    (problem,) = problems(config.request(flags(workers="20", network_cidr="10.0.0.0/28")))

    assert problem.code == "network-too-small"
    assert problem.fix.startswith("write a /27 ")
    assert cluster(workers="20", network_cidr="10.0.0.0/27").nnodes == 21


@pytest.mark.parametrize(
    ("key", "value"),
    [("engine", "zzz"), ("torch_index", "zzz"), ("master_reservation", "a b"), ("security_groups", "zzz"),
     ("entrypoint", " "), ("image", "")],
)  # fmt: skip
def test_a_refused_choice_or_empty_value_says_what_to_write(key: str, value: str) -> None:
    """Also where no word is near."""
    assert refused(key, value).fix


def test_nothing_odd_gets_through_as_a_message() -> None:
    """A refused value is shown short and without control characters."""
    shown = rules.shown("\x1b[31m" + "x" * 500)

    assert shown.isprintable()
    assert len(shown) < 70
