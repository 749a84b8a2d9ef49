"""A repository on a host: its refs and its program, without a checkout; hosts that say no, or nothing."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud import repository
from cloud.repository import host as repository_host
from tests.unit.git_host import Handler
from tests.unit.repositories import FILES, codes, in_git, job, made

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    handler = type("Served", (Handler,), {"root": root})
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
    monkeypatch.setattr(repository_host, "REFS_TIMEOUT_S", 0.001)

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
