"""Section `inference` of params.yaml. A file of its own: trainings batch photos too, and read none of it."""

from __future__ import annotations

from pydantic import Field

from wsss.core.params import Settings, unit


class InferenceSettings(Settings):
    """Section `inference` of params.yaml: how the stages that visit every photo split their work."""

    batch: int = Field(
        default=8,
        ge=1,
        description="photos of one size in one forward pass",
        json_schema_extra=unit("photos"),
    )
    threads: int = Field(
        default=1, ge=1, le=1024, description="CPU threads of each worker process; they change the last bits"
    )
    shard_size: int = Field(
        default=0,
        ge=0,
        description="photos in one HDF5 file: the most that a killed run loses per worker; 0: by their number, "
        "4 to 128",
        json_schema_extra=unit("photos"),
    )
