"""Where the files of a model of Hugging Face are: a folder, or the cache of huggingface.co, filled once if need be.

Read are `config.json`, `preprocessor_config.json` if it is there, and weights as `.safetensors`. Nothing that is
fetched is run, and pickled weights are not opened.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.log import say

PREFIX = "hf:"
"""Names of backbones that begin so are a folder's path, or the id of a model on huggingface.co."""
WHERE = "backbone.name"

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
SHARDS = "model.safetensors.index.json"
"""In place of `WEIGHTS` where the weights are in several files."""
WANTED = [CONFIG, PREPROCESSOR, WEIGHTS, SHARDS, "model-*-of-*.safetensors"]
PICKLED = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "tf_model.h5", "flax_model.msgpack")
ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?", re.ASCII)


def is_hub(name: str) -> bool:
    """True if the backbone `name` is one of Hugging Face's."""
    return name.startswith(PREFIX)


def shown(name: str) -> str:
    """`name` without the folders of this machine: ``hf:/home/me/dino`` → ``hf:dino``."""
    if not is_hub(name) or ID.fullmatch(name.removeprefix(PREFIX)):
        return name
    return PREFIX + Path(name.removeprefix(PREFIX)).expanduser().absolute().name


def model_folder(name: str) -> Path:
    """The folder of the backbone `name`; a model that this machine lacks is downloaded, with a line that says so.

    Raises `UserError` if there is no such folder, `EnvError` if the model cannot be downloaded.
    """
    model = name.removeprefix(PREFIX)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not ID.fullmatch(model):
        fix = "correct the path, or give the id of a model, such as hf:facebook/dinov2-small"
        raise UserError(WHERE, f"found {name!r}, but there is no folder {model}", fix)
    return _cached(model) or _fetched(model)


def weights_files(folder: Path) -> list[Path]:
    """The files of weights in a model's folder. Raises `UserError` if there are none that are safe to read."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / SHARDS).is_file():
        places = read_json(folder / SHARDS).get("weight_map")
        if not (isinstance(places, dict) and all(isinstance(name, str) for name in places.values())):
            raise IntegrityError(folder / SHARDS, "expected a weight_map of names to files", "fetch the model again")
        shards = [folder / name for name in sorted(set(places.values()))]
        missing = [path.name for path in shards if not path.is_file()]
        if missing:
            found = f"{len(missing)} of {len(shards)} files of weights are missing ({', '.join(missing[:5])})"
            raise UserError(folder, found, "fetch the model again")
        return [folder / SHARDS, *shards]
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if pickled:
        what = f"found {', '.join(pickled[:5])}, expected {WEIGHTS}: unpickling runs whatever code the file holds"
        raise UserError(folder, what, "take a version of the model with .safetensors, or convert it where you trust it")
    raise UserError(folder, f"there is no {WEIGHTS}", "fetch the model again, or set backbone.weights: random")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises `UserError` if there is none, `IntegrityError` if it holds another thing."""
    if not path.is_file():
        raise UserError(path.parent, f"there is no {path.name}", "give the folder of a model as transformers saves it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(path, f"not JSON ({str(error)[:120]})", "fetch the model again") from error
    if not isinstance(content, dict):
        raise IntegrityError(path, f"expected a JSON object, found {type(content).__name__}", "fetch the model again")
    return content


def library() -> Any:
    """The package transformers, loaded only where a name asks for it. Raises `EnvError` if it is missing."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        what = f"hf: backbones need the package {error.name}, which is not installed"
        raise EnvError(WHERE, what, "pip install 'wsss[hf]'") from error
    return transformers


def _cached(model: str) -> Path | None:
    """The model in the cache, if config and weights are there."""
    library()
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model, allow_patterns=WANTED, local_files_only=True))
        weights_files(folder)
    except (OSError, ValueError, UserError):
        return None
    return folder if (folder / CONFIG).is_file() else None


def _fetched(model: str) -> Path:
    from huggingface_hub import snapshot_download

    by_hand = f"where there is internet: hf download {model} --local-dir FOLDER; then backbone.name: hf:FOLDER"
    say(f"{PREFIX}{model} is not on this machine: downloading it from huggingface.co")
    try:
        return Path(snapshot_download(model, allow_patterns=WANTED))
    except Exception as error:  # of the network, of the hub, of the disk: there is no common type
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:160]
        what = f"{PREFIX}{model} is neither a folder nor in the cache, and cannot be downloaded ({reason})"
        raise EnvError(WHERE, what, by_hand) from error
