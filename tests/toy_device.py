"""A device that is none: the CPU under the name `mps`, refusing what the GPU of a Mac refuses.

It refuses float64, adaptive pooling onto grids that do not divide, and to compute with tensors of two devices. What
else a Mac does it cannot show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

MPS = torch.device("mps:0")
aten = torch.ops.aten
POOLS = (aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool2d_backward.default)


class There(torch.Tensor):
    """A tensor of that device; `data` on the CPU holds its numbers."""

    made: ClassVar = 0
    here: torch.Tensor
    device = property(lambda self: MPS)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> There:
        if here.dtype in (torch.float64, torch.complex128):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        # To autograd it is one of the CPU: this build of torch knows no other.
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.shape, here.stride(), here.storage_offset(), dtype=here.dtype
        )
        made.here = here
        There.made += 1
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(function, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"There({self.here!r})"


def run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do on the CPU what is asked of the device."""
    leaves = tree_leaves((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, There)]
    asked = kwargs.get("device")
    where = MPS if there else torch.device("cpu")
    if asked is not None:
        where = torch.device(asked)
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if function is aten.new_empty_strided.default and torch._C._current_graph_task_id() != -1:
        where = MPS  # autograd copies a gradient, to the device that it believes in
    # Copies go from one device to the other; numbers of no dimension, and of places, may come from the CPU.
    if there and function not in (aten._to_copy.default, aten.copy_.default, aten.index.Tensor):
        for leaf in leaves:
            if isinstance(leaf, torch.Tensor) and not isinstance(leaf, There) and leaf.ndim:
                raise RuntimeError(f"Expected all tensors to be on the same device: {function}")
    if there and function in POOLS:
        large, small = (args[0].shape, args[1]) if function is POOLS[0] else (args[1].shape, args[0].shape[-2:])
        if any(side % part for side, part in zip(large[-2:], small, strict=True)):
            raise RuntimeError("Adaptive pool MPS: input sizes must be divisible by output sizes.")
    plain_args, plain_kwargs = tree_map(lambda leaf: leaf.here if isinstance(leaf, There) else leaf, (args, kwargs))
    found = function(*plain_args, **plain_kwargs)
    if function is aten.copy_.default or (there and found is plain_args[0]):  # in place
        return args[0]
    if where.type != "mps":
        return found
    return tree_map(lambda leaf: There(leaf) if isinstance(leaf, torch.Tensor) else leaf, found)


class _Made(TorchDispatchMode):
    """New tensors that are asked for on the device, and copies to it."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(function, args, kwargs or {})


class _In(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, here: torch.Tensor) -> torch.Tensor:
        return There(here.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        assert isinstance(gradient, There)
        return gradient.here


class _Out(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, there: There) -> torch.Tensor:
        return there.here.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return There(gradient)


def moved(tensor: torch.Tensor, where: torch.device) -> torch.Tensor:
    """`tensor` on the other device, or as it is."""
    if where.type == "mps":
        return tensor if isinstance(tensor, There) else _In.apply(tensor)
    return _Out.apply(tensor) if isinstance(tensor, There) else tensor


class _Moved(TorchFunctionMode):
    """Copies between the devices: torch would refuse `mps` before it asks anyone."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is torch.Tensor.to:
            if isinstance(args[1] if len(args) > 1 else None, torch.Tensor):
                args = (args[0], args[1].device, args[1].dtype)
            where, dtype, *_ = torch._C._nn._parse_to(*args[1:], **{k: v for k, v in kwargs.items() if k != "copy"})
            found = args[0] if where is None else moved(args[0], where)
            return found if dtype is None else function(found, dtype)
        if function is torch.Tensor.cpu:
            return moved(args[0], torch.device("cpu"))
        if function is torch.Tensor.tolist:
            return function(moved(args[0], torch.device("cpu")))
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "mps":
            return There(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        return function(*args, **kwargs)


@contextmanager
def pretended() -> Iterator[None]:
    """While inside, tensors may be on `mps`."""
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Made(), _Moved():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
