"""wsss: image tags in, pixel masks out, as a reproducible pipeline."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.predict.segmenter import Segmenter

__all__ = ["Segmenter"]

# Before torch is loaded: OpenMP's threads spin while they wait, and two busy processes on two cores then slow each
# other down up to a hundredfold (decoding beside training, two CAM workers). Waiting changes no result.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if os.environ.get("WSSS_DEVICE", "").startswith("mps"):
    # Also before: what torch cannot do on the GPU of a Mac is done on its CPU, instead of an error.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def __getattr__(name: str) -> object:
    """`wsss.Segmenter` loads torch only when it is asked for."""
    if name == "Segmenter":
        from wsss.predict.segmenter import Segmenter

        return Segmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
