"""Trainings run as a stage runs them; see there."""

from tests.toy_training import no_workers_left, one_thread

__all__ = ["no_workers_left", "one_thread"]
