"""Whether a network computes in 16 bit: bf16 is faster where hardware has it, and many times slower elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from wsss.numeric.device import fast_bf16


def _on_this_device(precision: str) -> str:
    """`auto` becomes what is fastest here, so that whatever keeps settings says what was used."""
    if precision == "auto":
        return "bf16-mixed" if fast_bf16() else "32-true"
    return precision


Precision = Annotated[Literal["auto", "32-true", "bf16-mixed", "16-mixed"], AfterValidator(_on_this_device)]
"""Of a training. Once read, never `auto`."""

InferencePrecision = Annotated[Literal["auto", "32-true", "bf16-mixed"], AfterValidator(_on_this_device)]
"""Of a network that only predicts. Once read, never `auto`."""
