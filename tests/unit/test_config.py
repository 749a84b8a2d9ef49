from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloud import config, model
from cloud.errors import Problem, RequestError
from cloud.request import reference, rules
from cloud.request.profiles import DEFAULT_PROFILE, PROFILES
from cloud.request.settings import BY_KEY, SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

REQUIRED = {"repo": "https://github.com/you/digits.git", "workers": "2", "entrypoint": "main.py"}


def flags(**changes: Any) -> dict[str, Any]:
    """Flags of a request that can be met, with changes."""
    return {**REQUIRED, **changes}


def cluster(**changes: Any) -> model.Cluster:
    """The cluster of `flags`."""
    return config.cluster(config.request(flags(**changes)))


def problems(request: config.Request) -> tuple[Problem, ...]:
    """What is wrong with a request."""
    with pytest.raises(RequestError) as caught:
        config.cluster(request)
    return caught.value.problems


def refused(key: str, value: Any) -> Problem:
    """The one problem of a value."""
    (problem,) = problems(config.request(flags(**{key: value})))
    assert problem.what.startswith(f"{key} ")
    return problem


def written(directory: Path, text: str) -> Path:
    """A request file with `text`."""
    path = directory / "hotrun.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_three_flags_are_enough() -> None:
    """All the rest has the model's defaults."""
    job = model.Job(repo=REQUIRED["repo"], entrypoint="main.py")

    assert model.Cluster(job=job, workers=2) == cluster()


def test_every_field_of_the_model_can_be_set() -> None:
    """Each field has one setting; only the resolved commit is found, not given."""
    kinds = {"job": model.Job, "master": model.NodeGroup, "worker": model.NodeGroup, "network": model.Network}
    expected = {f"{part}.{name}" for part, kind in kinds.items() for name in kind.__dataclass_fields__}
    expected |= set(model.Cluster.__dataclass_fields__) - set(kinds)

    assert {setting.path for setting in SETTINGS} == expected - {"job.commit"}


def test_every_value_goes_to_its_own_field() -> None:
    """A value that differs from the default arrives in the field of its setting and in no other."""
    values = {
        "repo": "https://example.org/a/b", "ref": "v1", "workers": "7", "requirements": "train", "args": "--lr 1",
        "entrypoint": "x/go.py", "setup": "make", "env": ("A=1",), "engine": "torch",
        "max_hours": "1.5", "nproc_per_node": "4", "torch_index": "cpu", "allow_single": True,
        "restarts": "3", "adapt": True,
        "profile": "openstack", "image": "ubuntu", "master_flavor": "big", "worker_flavor": "small",
        "key_name": "laptop", "external_network": "ext", "network_cidr": "10.0.0.0/24",
        "ssh_cidr": "192.0.2.0/24", "dns": "1.1.1.1, 9.9.9.9", "security_groups": "no",
        "master_reservation": "aa-1", "worker_reservation": "bb-2", "boot_timeout": "600",
        "signal_transport": "NO_SIGNAL",
    }  # fmt: skip
    assert set(values) == set(BY_KEY)

    found = config.cluster(config.request(values))

    assert found == model.Cluster(
        job=model.Job(
            repo="https://example.org/a/b", ref="v1", requirements="train", entrypoint="x/go.py", args="--lr 1",
            setup="make", env=("A=1",), engine="torch", max_hours=1.5, nproc_per_node="4",
            torch_index="cpu", allow_single=True, restarts=3, adapt=True,
        ),
        workers=7, image="ubuntu", key_name="laptop", profile="openstack", boot_timeout_s=600,
        master=model.NodeGroup(flavor="big", reservation="aa-1"),
        worker=model.NodeGroup(flavor="small", reservation="bb-2"),
        network=model.Network(
            cidr="10.0.0.0/24", dns=("1.1.1.1", "9.9.9.9"), external="ext", ssh_cidr="192.0.2.0/24",
            security_group=False,
        ),
        signal_transport="NO_SIGNAL",
    )  # fmt: skip


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


def test_a_relative_path_in_a_file_starts_there(tmp_path: Path) -> None:
    """A request file can stand in the repository it is about, wherever the command is typed."""
    path = written(tmp_path, "repo: .\nworkers: 1\nentrypoint: main.py\n")

    assert str(tmp_path) == config.cluster_from_file(path).job.repo


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


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """File and line first, as one reads them, then flags, then what is missing."""
    path = written(tmp_path, "workers: 300\nentry_point: x\nrequirements: ../x\n")

    found = problems(config.request({"engine": "jax"}, path))

    assert [problem.where for problem in found] == [
        f"{path}:1",
        f"{path}:2",
        f"{path}:3",
        "flag --engine",
        "",
    ]
    assert found[1].fix == "did you mean entrypoint?"
    assert found[4].what == "--repo and --entrypoint are missing"


def test_a_flag_wins_over_the_file(tmp_path: Path) -> None:
    """Also over a value of the file that would be wrong."""
    path = written(tmp_path, "workers: 300\nentrypoint: main.py\nrepo: https://example.org/a/b\n")

    assert config.cluster(config.request({"workers": "3"}, path)).workers == 3


def test_keys_take_dashes_and_values_keep_their_digits(tmp_path: Path) -> None:
    """`ref: 1e5` is a name, not a number; `max-hours` is `max_hours`."""
    path = written(
        tmp_path,
        "repo: https://example.org/a/b\nworkers: 0\nentrypoint: m.py\nref: 1e5\nmax-hours: 2\n"
        "env: {A: 1, B: yes}\nargs: [--name, two words]\nallow_single: true\ndns_nameservers: [1.1.1.1]\n",
    )

    found = config.cluster_from_file(path)

    assert (found.job.ref, found.job.max_hours, found.job.allow_single) == ("1e5", 2.0, True)
    assert (found.job.env, found.job.args) == (("A=1", "B=yes"), "--name 'two words'")
    assert found.network.dns == ("1.1.1.1",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "file-not-yaml"), ("- a\n", "file-not-yaml"), ("just text\n", "file-not-yaml"),
        ("a: [\n", "file-not-yaml"), ("a: \x07\n", "file-not-yaml"), ("[" * 5000, "file-not-yaml"),
        ("workers: 1\nworkers: 2\n", "key-twice"), ("workers: [1]\n", "wrong-type"),
        ("workers: {a: 1}\n", "wrong-type"), ("dns: {a: 1}\n", "wrong-type"), ("env: [[a]]\n", "wrong-type"),
        ("args: {a: b}\n", "wrong-type"), ("? [a]\n: b\n", "key-unknown"), ("<<: {a: 1}\n", "key-unknown"),
        ("workers:\n", "value-empty"),
    ],
)  # fmt: skip
def test_a_broken_file_is_a_problem_not_a_crash(tmp_path: Path, text: str, code: str) -> None:
    """Each kind of damage has its code, and the line where there is one."""
    found = problems(config.request({}, written(tmp_path, text)))

    assert code in {problem.code for problem in found}


@pytest.mark.parametrize("name", ["missing.yml", ".", "latin.yml", "large.yml"])
def test_an_unreadable_file_is_the_only_problem(tmp_path: Path, name: str) -> None:
    """What is missing in a file that was not read is not listed."""
    (tmp_path / "latin.yml").write_bytes(b"repo: \xff\n")
    (tmp_path / "large.yml").write_bytes(b"#" * 2_000_000)

    (problem,) = problems(config.request({}, tmp_path / name))

    assert problem.code == "file-unreadable"


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
