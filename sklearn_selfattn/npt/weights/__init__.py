"""The weights that the package carries, and how such a file is written and read.

An ``.npz`` of half-precision arrays, no pickle: anyone may open it. The entry "facts" is JSON:
the sizes of the net, what made the weights (plan, compute, curve), and a hash of the arrays.
"""

import hashlib
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from ...core.randomness import seeded
from ..in_context import Config, InContextNPT

FOLDER = Path(__file__).parent
DEFAULT = "tiny"
# What reading a file that is cut off, altered or another one can raise.
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, BadZipFile, zlib.error,
)  # fmt: skip


def save_weights(net: InContextNPT, facts: dict[str, Any], path: Path) -> None:
    """Write a net and the facts about it."""
    arrays = {
        name: value.detach().cpu().numpy().astype(np.float16)
        for name, value in net.state_dict().items()
    }
    for name in ("borders", "tails"):  # borders have to increase
        arrays[name] = getattr(net, name).cpu().numpy().astype(np.float32)
    facts = {**facts, "config": asdict(net.config), "sha256": _digest(arrays)}
    with open(path, "wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps(facts)), **arrays)


def load_weights(path: Path | None = None) -> tuple[InContextNPT, dict[str, Any]]:
    """Read a net and the facts about it.

    Parameters
    ----------
    path : Path, default=None
        A file that `save_weights` wrote; None for the one that the package carries.

    Returns
    -------
    net : InContextNPT
        In float32, for prediction.
    facts : dict
        "config", "sha256", "plan", "flop", "seconds", "tables", "curve" ...

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged.
    """
    path = FOLDER / f"{DEFAULT}.npz" if path is None else Path(path)
    remedy = "Install the package again, or set pretrained=False to train on your table alone."
    if not path.exists():
        raise FileNotFoundError(f"The pretrained weights {path} are missing. {remedy}")
    try:
        # opened here, because numpy leaves a file open in which it finds no archive
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        if _digest(arrays) != facts["sha256"]:
            raise ValueError("the hash of the arrays is not the one they were written with")
        with seeded(0):  # the weights it begins with are drawn, and then replaced
            net = InContextNPT(Config(**facts["config"]))
        net.load_state_dict({name: torch.from_numpy(a).float() for name, a in arrays.items()})
    except _DAMAGE as error:
        what = str(error).partition("\n")[0].rstrip(".:")
        raise ValueError(f"The pretrained weights {path} are damaged: {what}. {remedy}") from error
    return net.eval(), facts


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
