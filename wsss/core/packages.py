"""Packages that `pip install wsss` leaves out because only training needs them, and the error where one is missing."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

from wsss.core.errors import EnvError

TRAIN = ("dvc", "scipy", "sklearn", "threadpoolctl", "matplotlib", "psutil", "pydensecrf")
"""Modules of the extra `train`, as they are imported."""
HEIC_FIX = "convert the photo to JPEG or PNG, or: pip install 'wsss[heic]'"
CHECKOUT = Path(__file__).parents[2]
IN_CHECKOUT = (CHECKOUT / "Makefile").is_file() and (CHECKOUT / "pyproject.toml").is_file()
"""Whether this code is a checkout's, which makes its own environment, and no installed package's."""
TRAIN_FIX = f"make setup (in {CHECKOUT}; its environment is .venv)" if IN_CHECKOUT else "pip install 'wsss[train]'"


def missing_package(where: str, module: str) -> EnvError:
    """The error of `where` for a `module` that cannot be imported."""
    package = module.split(".")[0]
    what = f"needs the package {package}, which is not installed"
    if package in TRAIN:
        return EnvError(where, f"{what} (only training needs it)", TRAIN_FIX)
    return EnvError(where, what, TRAIN_FIX if IN_CHECKOUT else f"install wsss again: pip install wsss, or {TRAIN_FIX}")


def absent_for_training() -> list[str]:
    """Those of `TRAIN` that are not installed."""
    return [name for name in TRAIN if _spec(name) is None]


def package_folder(module: str) -> Path | None:
    """Where a package lies, without importing it; None if it is not installed."""
    found = _spec(module)
    places = [] if found is None else list(found.submodule_search_locations or [])
    return Path(places[0]) if places else None


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # as who takes packages away for a while leaves them
        return None
