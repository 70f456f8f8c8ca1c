"""A long fit that was cut off goes on where it stood, and ends where it would have ended."""

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping

from .randomness import draws_noise

#: Numbers of the training that a file has to agree with, by their names in the net.
_SETTINGS = ("max_epochs", "lr", "_weight_decay", "_clip_norm", "_average")
_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")


class TrainingCheckpoint(Callback):
    """Save the state of a fit after every epoch, and resume from it.

    Give it to an estimator in `callbacks`. If the process dies or Ctrl-C ends the fit, the same
    fit with the same path continues after the last epoch that was finished, and the result is the
    same, bit by bit, as if it had never stopped. When a fit ends by itself the file is removed.

    Parameters
    ----------
    path : str or path-like
        The file; its folder has to exist. One fit at a time can use it, so it is not for estimators
        inside a search or an ensemble.

    Raises
    ------
    FileNotFoundError
        The folder does not exist; raised by `fit` before anything is trained.
    ValueError
        The file comes from another fit: other data, parameters or initial weights. The last
        differ from fit to fit with ``random_state=None``.

    Notes
    -----
    Saved are weights and their running average, the state of the optimiser, of early stopping and
    of the random numbers, and the history: about four times the size of the weights, without data
    and without pickled code. Batches of the epochs that are done are drawn once more, without a
    step, which brings all else to where it was. Of other callbacks, skorch's EarlyStopping alone is
    restored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTTabularClassifier, TrainingCheckpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "iris.fit"
    ...     model = OTTabularClassifier(
    ...         max_epochs=5, callbacks=[TrainingCheckpoint(path)], random_state=0
    ...     ).fit(X, y)
    ...     path.exists()  # only while there is something to resume
    False
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Resume, if there is a file of this fit.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net of the training loop.
        X, y : optional
            What `fit` was given.
        **kwargs
            Ignored.
        """
        self._fit = fingerprint(net, X, y)
        path = Path(self.path)
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"TrainingCheckpoint saves to path={str(path)!r}, but the folder "
                f"{str(path.parent)!r} does not exist. Make it first."
            )
        if path.is_dir():
            raise IsADirectoryError(
                f"TrainingCheckpoint has to be given the path of a file, got the folder "
                f"{str(path)!r}."
            )
        if not path.exists():
            return
        state = torch.load(path, map_location=net.device, weights_only=True)
        if state["fit"] != self._fit:
            raise ValueError(
                f"The file {str(path)!r} was saved by another fit: with other data, parameters or "
                "initial weights (random_state has to be an int). Remove it to start anew, or give "
                "TrainingCheckpoint another path."
            )
        self._restore(net, state)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Save, whole or not at all.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net of the training loop.
        **kwargs
            Ignored.
        """
        if net._processes.rank:
            return
        path = Path(self.path)
        partial = path.with_name(path.name + ".tmp")
        torch.save(self._state(net), partial)
        os.replace(partial, path)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Remove the file of a fit that has come to its end.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net of the training loop.
        **kwargs
            Ignored.
        """
        stopped = any(stopper.misses_ == stopper.patience for stopper in _stoppers(net))
        if stopped or len(net.history) == net.max_epochs and "dur" in net.history[-1]:
            Path(self.path).unlink(missing_ok=True)

    def _state(self, net: Any) -> dict[str, Any]:
        state = {
            "fit": self._fit,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "average": (net._set_aside, net._steps_averaged, net._holds_average),
            "history": [
                {key: _plain(value) for key, value in row.items() if key != "batches"}
                for row in net.history.to_list()
            ],
            "stoppers": [
                {name: _plain(getattr(stopper, name)) for name in _STOPPING}
                for stopper in _stoppers(net)
            ],
            "noise": None,
        }
        if draws_noise(net.module_):  # then the state is this fit's own, until it ends
            cuda = torch.device(net.device).type == "cuda"
            state["noise"] = (
                torch.get_rng_state(),
                torch.cuda.get_rng_state(net.device) if cuda else None,
            )
        return state

    def _restore(self, net: Any, state: dict[str, Any]) -> None:
        n_steps = 0
        for _ in state["history"]:
            n_steps = sum(1 for _ in net._rounds())
        net._n_steps = n_steps
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        set_aside, net._steps_averaged, net._holds_average = state["average"]
        for mine, saved in zip(net._set_aside, set_aside, strict=True):
            mine.copy_(saved)
        net.history_.extend({**row, "batches": []} for row in state["history"])
        for stopper, saved in zip(_stoppers(net), state["stoppers"], strict=True):
            vars(stopper).update(saved)
        if state["noise"] is not None:
            on_cpu, on_cuda = state["noise"]
            torch.set_rng_state(on_cpu.cpu())
            if on_cuda is not None:
                torch.cuda.set_rng_state(on_cuda.cpu(), net.device)


def fingerprint(net: Any, X: Any, y: Any) -> str:
    """Return a text that tells a fit from others: by data, settings and initial weights."""
    weights = [value.cpu().numpy() for value in net.module_.state_dict().values()]
    settings = [float(getattr(net, name) or 0) for name in _SETTINGS]
    settings.append(net._n_steps)
    return str(joblib.hash([weights, settings, X, y]))


def _stoppers(net: Any) -> list[EarlyStopping]:
    """Return the callbacks that may stop the training early: that of `train`, and the user's."""
    return [callback for _, callback in net.callbacks_ if isinstance(callback, EarlyStopping)]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, torch.Tensor)) else value
