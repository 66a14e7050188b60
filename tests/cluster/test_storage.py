"""Artifacts in object storage: another checkout gets them from there, and runs one stage on them."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.cluster.chain import STAGES, call, checkout, results
from tests.helpers import free_port, names, wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
for package in ("dvc_s3", "moto", "flask"):
    pytest.importorskip(package, reason="needs dvc-s3 and moto's server: make test-cluster installs them")
pytestmark = pytest.mark.slow


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """The address of a server that speaks the protocol of S3, on this machine, with an empty bucket `artifacts`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with (folder / "server.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:

        def made() -> bool:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/artifacts", method="PUT"), timeout=10).close()
            except URLError:
                return False
            return True

        try:
            wait_until(made, 60)
            yield url
        finally:
            server.kill()


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A checkout in which the chain has run."""
    return checkout(finished, tmp_path / "a project 100 %", STAGES)


def test_another_checkout_goes_on_from_object_storage(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pulls a stage's artifacts; or, for another setting of that stage, the photos and what the stage reads."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with bucket(tmp_path) as url:
        call(project, "dvc", "remote", "add", "--default", "store", "s3://artifacts/wsss")
        call(project, "dvc", "remote", "modify", "store", "endpointurl", url)
        call(project, "git", "add", "--all")
        call(project, "git", "commit", "--quiet", "--message", "A run")
        assert "files pushed" in call(project, "dvc", "push", *STAGES)

        other = tmp_path / "other"
        call(tmp_path, "git", "clone", "--quiet", str(project), "other")
        assert not (other / "artifacts/cams").exists()
        call(other, "dvc", "pull", *STAGES)
        assert results(other, *STAGES) == results(project, *STAGES)
        assert "up to date" in call(other, "dvc", "repro", "correct")

        third = tmp_path / "third"
        call(tmp_path, "git", "clone", "--quiet", str(project), "third")
        call(third, "dvc", "pull", "demo")
        settings = third / "params.yaml"
        settings.write_text(settings.read_text().replace("tau_fg: 0.9", "tau_fg: 0.8"))
        said = call(third, "dvc", "repro", "--pull", "--allow-missing", "correct")
        assert said.count("Running stage") == said.count("Running stage 'correct'") == 1
        assert names(third / "artifacts") == [".gitignore", "cams", "dataset", "pseudo"]  # no network was fetched
        assert results(third, "cams") == results(project, "cams")
        assert results(third, "correct") != results(project, "correct")
        assert "files pushed" in call(third, "dvc", "push", "correct")
