"""Who hears about the epochs: scikit-learn's callbacks, and a line on the terminal."""

import copy
import sys
import time
from typing import Any

from skorch.callbacks import Callback
from torch import nn


class SklearnCallbacks(Callback):
    """Tell scikit-learn's own callbacks (`set_callbacks`) about every epoch.

    All that the library knows of `sklearn.callback`, which is experimental, is in here.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, max_epochs: int) -> None:
        self.estimator = estimator
        self.X = X
        self.y = y
        self.max_epochs = max_epochs

    def _data(self, module: nn.Module) -> dict[str, Any]:
        estimator = self.estimator
        return {
            "estimator": estimator,
            "X": self.X,
            "y": self.y,
            # of a copy, because what predicts may be moved to another precision
            "reconstruction_attributes": lambda: estimator._attributes_after_training(
                copy.deepcopy(module)
            ),
        }

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open scikit-learn's context of this fit, if anyone listens."""
        self._root = None
        # Without callbacks of its own or from a search around it there is no one to tell.
        if any(
            hasattr(self.estimator, name) for name in ("_skl_callbacks", "_parent_callback_ctx")
        ):
            self._root = self.estimator._init_callback_context(max_subtasks=self.max_epochs)
            self._root.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Announce an epoch."""
        if self._root is not None:
            self._epoch = self._root.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Report an epoch, with a copy of the estimator that predicts; stop if asked to."""
        if self._root is not None and self._epoch.call_on_fit_task_end(**self._data(net.module_)):
            raise KeyboardInterrupt  # skorch's own way to stop

    def finish(self, module: nn.Module) -> None:
        """Report the end of the fit, once the best weights are back in the module."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._data(module))


class ProgressLine(Callback):
    """Write epoch, losses and time left to stderr, on one line where that is a terminal."""

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the line."""
        row = net.history[-1]
        epoch = row["epoch"]
        is_terminal = sys.stderr.isatty()
        # A log file gets about ten lines, a terminal one that is written over.
        if not is_terminal and epoch % max(1, self.max_epochs // 10) and epoch < self.max_epochs:
            return
        left = (time.perf_counter() - self._start) / epoch * (self.max_epochs - epoch)
        n_filled = 20 * epoch // self.max_epochs
        line = (
            f"epoch {epoch:>{len(str(self.max_epochs))}}/{self.max_epochs} "
            f"[{'#' * n_filled}{'.' * (20 - n_filled)}] loss {row['train_loss']:.4f}"
        )
        if "valid_loss" in row:
            line += f"  valid {row['valid_loss']:.4f}"
        line += f"  {int(left) // 60}:{int(left) % 60:02d} left"
        sys.stderr.write(f"\r{line}\x1b[K" if is_terminal else f"{line}\n")
        sys.stderr.flush()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave the line standing."""
        if sys.stderr.isatty():
            sys.stderr.write("\n")
