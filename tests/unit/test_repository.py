from __future__ import annotations

import http.server
import os
import shutil
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from cloud import repository
from cloud.errors import Problem
from cloud.git import command as git
from cloud.git.entrypoint import examine
from cloud.git.refs import parse_refs
from cloud.git.tree import files
from cloud.model import Job
from cloud.request import addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRAIN = "import pytorch_lightning as pl\n\npl.Trainer(num_nodes=1, devices=1)\n"
FILES = {"train.py": TRAIN, "requirements.txt": "torch\n", "ray/go.py": "import ray\nray.init()\n",
         "ray/requirements-ray.txt": "ray\n"}  # fmt: skip


def in_git(directory: Path, *words: str) -> str:
    """Run git and return what it prints."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


def made(directory: Path, files: Mapping[str, str]) -> Path:
    """A repository with one commit on main."""
    directory.mkdir(parents=True)
    in_git(directory, "init", "-q", "-b", "main")
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    in_git(directory, "add", ".")
    in_git(directory, "commit", "-qm", "first")
    return directory


def job(repo: Path | str, **changes: Any) -> Job:
    """A job that trains train.py of a repository."""
    return Job(**{"repo": str(repo), "entrypoint": "train.py", **changes})


def codes(found: repository.Findings, level: str = "error") -> list[str]:
    """Codes of the findings of one level."""
    return [problem.code for problem in found.problems if problem.level == level]


# A host, with git's own server program behind it.


class _Handler(http.server.BaseHTTPRequestHandler):
    root: ClassVar[Path]
    protocol_version = "HTTP/1.1"  # git takes a connection that just ends for an attack

    def do_GET(self) -> None:
        """Answer by `git http-backend`, and 401 for what is private."""
        path, _, query = self.path.partition("?")
        if path.startswith("/private"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environ = {
            **os.environ, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }  # fmt: skip
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environ, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """Address, directory of repositories, and certificate of an https git host on this machine."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: no certificate for a git host")
    root = tmp_path_factory.mktemp("host")
    key, certificate = root / "key.pem", root / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    work = made(root / "work", FILES)
    in_git(work, "tag", "-am", "annotated", "v1")
    in_git(work, "checkout", "-qb", "feature/x")
    in_git(work, "commit", "-qm", "second", "--allow-empty")
    in_git(work, "checkout", "-q", "main")
    in_git(root, "clone", "-q", "--bare", "work", "digits.git")
    in_git(root / "digits.git", "config", "uploadpack.allowFilter", "true")
    in_git(root, "init", "-q", "--bare", "empty.git")
    handler = type("Handler", (_Handler,), {"root": root})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", root, certificate
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def address(host: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """The host's address, trusted."""
    monkeypatch.setenv("GIT_SSL_CAINFO", str(host[2]))
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return host[0]


@pytest.mark.process
@pytest.mark.parametrize(
    ("ref", "means", "branch"),
    [("", "main", "main"), ("main", "main", "main"), ("feature/x", "feature/x", "feature/x"), ("v1", "main", "v1"),
     ("HEAD", "main", "main"), ("refs/heads/feature/x", "feature/x", "refs/heads/feature/x")],
)  # fmt: skip
def test_a_ref_becomes_the_commit_that_the_host_names(
    ref: str, means: str, branch: str, address: str, host: tuple[str, Path, Path]
) -> None:
    """Branches, annotated tags, and nothing at all."""
    found, findings = repository.inspect(job(f"{address}/digits.git", ref=ref), nnodes=3)

    assert (found.commit, found.ref) == (in_git(host[1] / "digits.git", "rev-parse", means), ref)
    assert (findings.branch, codes(findings)) == (branch, [])
    assert findings.age


@pytest.mark.process
def test_a_whole_commit_is_taken_as_it_is(address: str, host: tuple[str, Path, Path]) -> None:
    """Also one that no branch ends in; one that the host lacks is an error."""
    commit = in_git(host[1] / "digits.git", "rev-parse", "v1^{commit}")

    found, findings = repository.inspect(job(f"{address}/digits.git", ref=commit))
    _, missing = repository.inspect(job(f"{address}/digits.git", ref="0" * 40))

    assert (found.commit, codes(findings)) == (commit, [])
    assert codes(missing) == ["ref-not-found"]


@pytest.mark.process
def test_the_entrypoint_is_read_from_the_host(address: str) -> None:
    """Engine and fixed launch settings, with file and line, without a checkout."""
    _, findings = repository.inspect(job(f"{address}/digits.git"), nnodes=3)

    assert findings.recognition
    assert (findings.recognition.engine, findings.recognition.line) == ("lightning", 3)
    assert [(problem.level, problem.where) for problem in findings.problems] == [
        ("warning", "train.py:3"), ("note", "train.py:3"),
    ]  # fmt: skip


@pytest.mark.process
def test_a_host_without_filters_works_too(address: str, host: tuple[str, Path, Path]) -> None:
    """It sends all files, and they are read."""
    in_git(host[1], "clone", "-q", "--bare", "digits.git", "plain.git")

    _, findings = repository.inspect(job(f"{address}/plain.git"))

    assert findings.recognition
    assert codes(findings) == []


@pytest.mark.process
def test_an_unknown_ref_comes_with_its_near_miss(address: str) -> None:
    """And a short commit with the reason."""
    _, findings = repository.inspect(job(f"{address}/digits.git", ref="mian"))
    _, short = repository.inspect(job(f"{address}/digits.git", ref="3f2c1a9"))

    assert [(problem.code, problem.fix) for problem in findings.problems] == [
        ("ref-not-found", "did you mean main?")
    ]
    assert "needs all 40 digits" in short.problems[0].what


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "code"),
    [("nothing.git", "repo-not-found"), ("private.git", "repo-not-found"), ("empty.git", "repo-empty")],
)
def test_a_host_that_says_no_is_an_error(name: str, code: str, address: str) -> None:
    """A repository that is missing, private or empty; nobody is asked for a password."""
    found, findings = repository.inspect(job(f"{address}/{name}"))

    assert (found.commit, codes(findings)) == ("", [code])


@pytest.mark.process
def test_a_host_that_says_nothing_is_a_note() -> None:
    """Generation goes on, and the reason is said."""
    found, findings = repository.inspect(job("https://127.0.0.1:9/digits.git"))

    (note,) = findings.problems
    assert (note.code, note.level, found.commit) == ("host-silent", "note", "")
    assert note.what.startswith("the host did not answer (Failed to connect to 127.0.0.1 port 9")
    assert note.what.endswith("): the master pins the ref when it boots")


@pytest.mark.process
def test_a_host_that_never_ends_is_left(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever git started is gone when the deadline has passed."""
    monkeypatch.setattr(repository, "REFS_TIMEOUT_S", 0.001)

    _, findings = repository.inspect(job(f"{address}/digits.git"))

    assert [problem.what for problem in findings.problems] == [
        "the host did not answer (no answer within 0.001 s): the master pins the ref when it boots"
    ]


@pytest.mark.process
def test_the_users_credentials_are_not_tried(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that knows the password would make a private repository look public."""
    touched = tmp_path / "asked"
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\ntouch {touched}\necho username=a\necho password=b\n")
    helper.chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[credential]\n\thelper = {helper}\n[core]\n\taskPass = {helper}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_ASKPASS", str(helper))

    repository.inspect(job(f"{address}/private.git"))

    assert not touched.exists()


@pytest.mark.process
def test_without_git_a_remote_is_a_note_and_a_path_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machines have git; this one need not."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert codes(repository.inspect(job("https://example.org/x"))[1], "note") == ["git-missing"]
    assert codes(repository.inspect(job(tmp_path))[1]) == ["git-missing"]


@pytest.mark.process
def test_a_checkout_without_origin_stays_a_path(tmp_path: Path) -> None:
    """With its commit; a directory inside it means the whole."""
    repo = made(tmp_path / "digits", FILES)

    found, findings = repository.inspect(job(repo / "ray"))

    assert (found.repo, found.commit) == (str(repo), in_git(repo, "rev-parse", "HEAD"))
    assert codes(findings) == []
    assert findings.branch == "main"


@pytest.mark.process
def test_a_checkout_stands_for_its_origin(tmp_path: Path) -> None:
    """As https, with a warning while the commit is not pushed."""
    repo = made(tmp_path / "digits", FILES)
    in_git(repo, "remote", "add", "origin", "git@github.com:you/digits.git")

    found, findings = repository.inspect(job(repo))
    in_git(repo, "update-ref", "refs/remotes/origin/main", "HEAD")
    _, pushed = repository.inspect(job(repo))

    assert found.repo == "https://github.com/you/digits.git"
    assert "commit-not-pushed" in codes(findings, "warning")
    assert "commit-not-pushed" not in codes(pushed, "warning")
    assert (findings.stand_in, pushed.stand_in) == (str(repo), "")


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/you/x.git", "https://github.com/you/x.git"),
        ("https://me:token@github.com/you/x.git", "https://github.com/you/x.git"),
        ("https://git.example.org:8443/x", "https://git.example.org:8443/x"),
        ("git@github.com:you/x.git", "https://github.com/you/x.git"),
        ("ssh://git@github.com:22/you/x.git", "https://github.com/you/x.git"),
        ("/srv/x.git", ""), ("../x", ""), ("file:///srv/x", ""), ("", ""), ("http://github.com/you/x", ""),
    ],
)  # fmt: skip
def test_an_origin_is_rewritten_without_credentials(origin: str, address: str) -> None:
    """Or left alone where it has no https form."""
    assert addresses.https_form(origin) == address


@pytest.mark.process
def test_only_what_is_committed_counts(tmp_path: Path) -> None:
    """Changed files are named, and the commit's text is read."""
    repo = made(tmp_path / "digits", FILES)
    (repo / "train.py").write_text("print(1)\n")
    (repo / "new.py").write_text("")

    _, findings = repository.inspect(job(repo))
    _, missing = repository.inspect(job(repo, entrypoint="new.py"))

    assert findings.recognition
    assert findings.recognition.engine == "lightning"
    assert [problem.what for problem in findings.problems if problem.code == "tree-dirty"] == [
        "2 files are changed here and not committed: the machines get the commit"
    ]
    assert codes(missing) == ["entrypoint-missing"]


@pytest.mark.process
@pytest.mark.parametrize("kind", ["nothing", "file", "broken", "empty"])
def test_a_path_that_is_no_repository_is_an_error(kind: str, tmp_path: Path) -> None:
    """Not there, a file, a directory whose .git is none, a repository without a commit."""
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    elif kind != "nothing":
        path.mkdir()
    if kind == "empty":
        in_git(path, "init", "-q")
    if kind == "broken":
        (path / ".git").mkdir()

    _, findings = repository.inspect(job(path))

    assert codes(findings) == ["repo-empty" if kind == "empty" else "repo-not-found"]


@pytest.mark.process
def test_an_unknown_ref_of_a_checkout_comes_with_its_near_miss(tmp_path: Path) -> None:
    """From its branches and tags."""
    repo = made(tmp_path / "digits", FILES)

    _, findings = repository.inspect(job(repo, ref="mian"))

    assert [problem.fix for problem in findings.problems] == ["did you mean main?"]


def unpacked(directory: Path, files: Mapping[str, str]) -> Path:
    """The same files without git."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


@pytest.mark.process
def test_an_archive_without_git_is_read_from_its_files(tmp_path: Path) -> None:
    """The path stays, without a commit, and a note says that a rehearsal makes a snapshot."""
    tree = unpacked(tmp_path / "digits", FILES)

    found, findings = repository.inspect(job(tree), nnodes=3)

    assert (found.repo, found.ref, found.commit) == (str(tree), "", "")
    assert findings.recognition
    assert (findings.recognition.engine, findings.recognition.line) == ("lightning", 3)
    assert (codes(findings), findings.stand_in) == ([], str(tree))
    assert "tree-without-git" in codes(findings, "note")


@pytest.mark.process
def test_what_an_archive_lacks_is_said_without_a_commit(tmp_path: Path) -> None:
    """Nobody can commit there, and what a snapshot leaves out does not count."""
    tree = unpacked(tmp_path / "digits", {"a/.venv/b.py": "", ".venv/train.py": "", "a/__pycache__/c.py": ""})

    _, findings = repository.inspect(job(tree))
    _, named = repository.inspect(job(tree, ref="main"))

    assert [(problem.what, problem.fix) for problem in findings.problems if problem.level == "error"] == [
        ("requirements is ., but that directory has no requirements.txt", "add one"),
        ("entrypoint is train.py, but the directory has no train.py", ""),
    ]
    assert codes(named) == ["ref-not-found"]
    assert [name for name, _ in files(tree)] == ["a/.venv/b.py"]


@pytest.mark.process
def test_a_tree_of_too_many_files_is_left_to_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the listing of a whole disk."""
    monkeypatch.setattr(repository, "MAX_FILES", 3)

    _, findings = repository.inspect(job(unpacked(tmp_path / "digits", FILES)))

    assert codes(findings, "note") == ["tree-without-git", "files-not-read"]


@pytest.mark.process
def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    """It is a link in the snapshot too."""
    tree = unpacked(tmp_path / "digits", {"requirements.txt": ""})
    (tree / "src").symlink_to("/")

    _, findings = repository.inspect(job(tree, entrypoint="src/train.py"))

    assert codes(findings) == []
    assert "src is a symbolic link: src/train.py was not read here" in findings.problems[-1].what


@pytest.mark.process
def test_a_checkout_of_another_user_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its hooks, monitor, gpg and filters, which would run as the wrong user."""
    repo, ran = made(tmp_path / "digits", FILES), tmp_path / "ran"
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\necho $0 >>{ran}\ncat\n")
    spy.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "filter.spy.clean", "core.askPass"):
        in_git(repo, "config", key, str(spy))
    in_git(repo, "config", "log.showSignature", "true")
    in_git(repo, "config", "core.hooksPath", str(tmp_path))
    (repo / ".git" / "info" / "attributes").write_text("* filter=spy\n")
    (repo / "train.py").write_text(TRAIN + "# other\n")
    commit = in_git(repo, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for this

    found, findings = repository.inspect(job(repo))

    assert (found.commit, codes(findings)) == (commit, [])
    assert findings.recognition
    assert not ran.exists()


@pytest.mark.process
def test_the_users_insteadof_does_not_make_ssh_of_an_address(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most have one for a whole host; one for the very address is named."""
    config = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    config.write_text(f'[url "ssh://git@h/"]\n\tinsteadOf = {address}/\n')

    found, findings = repository.inspect(job(f"{address}/digits.git"))
    config.write_text(f'[url "ssh://git@h/"]\n\tinsteadOf = {address}/digits.git\n')
    _, exact = repository.inspect(job(f"{address}/digits.git"))

    assert found.commit
    assert findings.recognition
    assert codes(exact, "note") == ["address-rewritten"]
    assert "insteadOf" in exact.problems[0].what


@pytest.mark.process
def test_a_git_that_takes_too_long_is_ended_on_windows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no groups of processes there."""
    monkeypatch.delattr(os, "killpg")
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert git.git("status", directory=tmp_path, timeout_s=0.2).code == git.TIMED_OUT


@pytest.mark.process
def test_a_git_environment_of_the_caller_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a hook GIT_DIR names another repository."""
    repo = made(tmp_path / "digits", FILES)
    other = made(tmp_path / "other", {"a": ""})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    found, _ = repository.inspect(job(repo))

    monkeypatch.delenv("GIT_DIR")
    assert found.commit == in_git(repo, "rev-parse", "HEAD")


# What the files say, without git.


def examined(files: Mapping[str, str], nnodes: int = 3, modes: Mapping[str, str] | None = None, **changes: Any
             ) -> list[Problem]:  # fmt: skip
    """Problems of a commit with these files."""
    listing = dict.fromkeys(files, "100644") | dict(modes or {})
    read = {name: text.encode() for name, text in files.items()}.get
    return examine(job("https://h/x", **changes), listing, read, nnodes)[1]


@pytest.mark.parametrize(
    ("changes", "code", "fix"),
    [
        ({"entrypoint": "trian.py"}, "entrypoint-missing", "did you mean train.py?"),
        ({"entrypoint": "go.py"}, "entrypoint-missing", "did you mean ray/go.py?"),
        ({"requirements": "rya"}, "requirements-missing", "did you mean ray?"),
        ({"requirements": "docs", "entrypoint": "a.py"}, "requirements-missing", "directories that have one: ., ray"),
        ({"requirements": "ray", "entrypoint": "train.py"}, "entrypoint-missing",
         "train.py exists: paths are relative to the requirements directory"),
    ],
)  # fmt: skip
def test_missing_files_come_with_what_is_there(changes: dict[str, str], code: str, fix: str) -> None:
    """One mistake is one problem."""
    found = [
        problem for problem in examined({**FILES, "docs/a.py": ""}, **changes) if problem.level == "error"
    ]

    assert [(problem.code, problem.fix) for problem in found] == [(code, fix)]


def test_an_engines_own_requirements_are_enough() -> None:
    """`requirements-ray.txt` beside a program that uses Ray is no problem; that engine itself is a later one."""
    (found,) = examined(FILES, requirements="ray", entrypoint="go.py")

    assert (found.code, found.level, found.where) == ("engine-not-available", "error", "ray/go.py:2")


@pytest.mark.parametrize(
    ("source", "code", "level"),
    [
        ("x = 1\n", "engine-unknown", "warning"),
        ("def (\n", "entrypoint-not-parsed", "warning"),
        ("x = '\0'\n", "entrypoint-not-parsed", "warning"),
        ("from lightning import Trainer\nTrainer(num_nodes=2)\n", "hard-coded", "warning"),
        ("from lightning import Trainer\nTrainer(num_nodes=3)\n", "launch-setting", "note"),
        ("from lightning import Trainer\nTrainer(devices=4)\n", "hard-coded", "warning"),
        ("from lightning import Trainer\nTrainer(devices=1)\n", "launch-setting", "note"),
        ("from lightning import Trainer\nTrainer(strategy='ddp')\n", "launch-setting", "note"),
        ("import os, torch\nos.environ['MASTER_ADDR'] = 'x'\ntorch.distributed.init_process_group()\n",
         "hard-coded", "warning"),
    ],
)  # fmt: skip
def test_what_a_program_fixes_is_named(source: str, code: str, level: str) -> None:
    """With the file and line, and as serious as it is for three machines."""
    (problem,) = examined({"train.py": source, "requirements.txt": ""})

    assert (problem.code, problem.level) == (code, level)
    assert problem.where.startswith("train.py:")


HIDDEN = {
    "train.py": "from ours.run import main\nmain()\n", "requirements.txt": "",
    "ours/run.py": "import lightning as L\nfrom os import environ\n\ndef main():\n    L.Trainer(num_nodes=1, devices=4)\n",
}  # fmt: skip


def test_a_warning_names_the_edit_and_the_refusal() -> None:
    """In the file where it stands; machines whose kind is not known here may be right."""
    nodes, devices = examined(HIDDEN)

    assert nodes.where == devices.where == "ours/run.py:5"
    assert nodes.what == "num_nodes=1 is set, but there are 3 machines: they would refuse to train"
    assert nodes.fix == "leave num_nodes= out: the launcher sets it; or generate with --adapt"
    assert devices.what == "devices=4 is set: machines with another number of GPUs would refuse to train"
    assert [] == [each for each in examined(HIDDEN, nnodes=1, nproc_per_node="4") if each.level == "warning"]


def test_what_was_asked_for_is_no_warning() -> None:
    """--adapt overrules, and says by what; with --allow-single nobody refuses."""
    adapted, single = examined(HIDDEN, adapt=True), examined(HIDDEN, allow_single=True)

    assert {"note"} == {each.level for each in [*adapted, *single]}
    assert adapted[0].what == "num_nodes=1 will be overruled: 3"
    assert adapted[1].what == "devices=4 will be overruled: the launcher's"


@pytest.mark.parametrize(("mode", "word"), [("120000", "symbolic link"), ("160000", "submodule")])
def test_links_and_submodules_are_left_to_the_machines(mode: str, word: str) -> None:
    """They have the whole clone."""
    (note,) = examined({}, modes={"sub": mode}, requirements="sub")

    assert (note.code, note.level) == ("files-not-read", "note")
    assert word in note.what


def test_a_single_machine_may_run_any_program() -> None:
    """Nothing has to meet."""
    assert examined({"train.py": "x = 1\n", "requirements.txt": ""}, nnodes=1) == []


def test_the_listing_of_a_host_is_read_by_name() -> None:
    """Peeled tags first, a branch before a tag of the same name."""
    a, b, c = "a" * 40, "b" * 40, "c" * 40
    refs = parse_refs(
        f"ref: refs/heads/main\tHEAD\n{a}\tHEAD\n{a}\trefs/heads/main\n{b}\trefs/heads/v1\n"
        f"{c}\trefs/tags/v1\n{c}\trefs/tags/v2\n{a}\trefs/tags/v2^{{}}\nwarning: odd line\n"
    )

    assert refs.resolve("") == ("main", a)
    assert refs.resolve("v1") == ("v1", b)
    assert refs.resolve("v2") == ("v2", a)
    assert refs.resolve("v3") == ("v3", "")
    assert refs.names == ["main", "v1", "v1", "v2"]


def test_gits_reason_is_one_line_without_credentials() -> None:
    """What git wrote may hold an address with a password."""
    answer = git.Answer(
        128, b"", "warning: x\nfatal: unable to access 'https://a:pw@h/x/': Could not resolve host: h\n"
    )

    assert answer.reason == "Could not resolve host: h"
    assert "pw" not in git.Answer(128, b"", "fatal: bad https://a:pw@h/x\n").reason
