"""Tests that start schedulers, workers and networks: `make test-cluster` runs them, plain `pytest` does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.chain import MAPPED, Bytes, finish, results

collect_ignore_glob = [] if os.environ.get("WSSS_TEST_CLUSTER") else ["test_*.py"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain by one process, without workers."""
    return finish(tmp_path_factory.mktemp("chain") / "a project 100 %")


@pytest.fixture(scope="session")
def expected(finished: Path) -> Bytes:
    return results(finished, *MAPPED)
