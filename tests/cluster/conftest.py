"""Tests that start schedulers, workers and networks: `make test-cluster` runs them, plain `pytest` does not."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("WSSS_TEST_CLUSTER") else ["test_*.py"]
