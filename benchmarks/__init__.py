"""Ratios to references, measured in turn."""

import wsss  # noqa: F401  # before torch: it tells OpenMP's threads, the references' too, not to spin while they wait

LOG = "stages.log"
"""What stages say that `benchmarks.device` runs."""
