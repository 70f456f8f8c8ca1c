"""How an NPT estimator uses the shipped weights: when, with which context, tuned or not."""

import copy
import math
import warnings

import numpy as np
import torch

from ..core.base import BaseSelfAttention
from ..core.training import TrainingDiverged, train
from .context import CONTEXT_ROWS, LOO_FOLDS, as_tensor
from .ensemble import Ensemble
from .folds import deal_folds, sample_evenly
from .in_context import MAX_CLASSES, Config, InContextNPT
from .weights import load_weights

MAX_ROWS = 500  # pretrained="auto" uses the weights up to here, about what they were trained on
MAX_COLUMNS = 40
EXACT_CELLS = 4096  # tables of so many cells are predicted in float64

TUNING_ROWS = 256  # in a step
TUNING_RATE = 1e-3
TUNING_EPOCHS = 30  # of STEPS steps, at most, with fine_tune="auto"
TUNING_PATIENCE = 6
STEPS = 10
TUNING_FROM = 40  # rows; fewer can not be held out and learnt from
TUNING_HELD_OUT = 0.25


class PretrainedMixin(BaseSelfAttention):
    """The part of an NPT estimator that works with the shipped weights."""

    def _choose_pretrained(self, n_rows, n_columns, n_classes):
        """Tell whether to use the shipped weights; warn of what is done beyond their limits."""
        if self.pretrained is False:
            return False
        most_rows = MAX_ROWS if self.pretrained == "auto" else CONTEXT_ROWS
        limits = [("rows", n_rows, most_rows), ("columns", n_columns, MAX_COLUMNS)]
        limits.append(("classes", n_classes, MAX_CLASSES))
        beyond = [(name, number, most) for name, number, most in limits if number > most]
        if not beyond:
            return True
        found = " and ".join(f"{number} {name}" for name, number, _ in beyond)
        accepted = ", ".join(f"{most} {name}" for name, _, most in limits)
        if self.pretrained == "auto":
            warnings.warn(
                f"The table has {found}, the pretrained weights are meant for up to {accepted}: a "
                "net is trained on this table alone. Set pretrained=False to ask for that, or "
                "pretrained=True to use the weights all the same.",
                stacklevel=6,  # who called fit
            )
            return False
        remedies = {
            "rows": f"each member sees {min(self.context_size, CONTEXT_ROWS)} of the rows",
            "columns": f"each member sees {MAX_COLUMNS} of the columns",
            "classes": f"each member tells {MAX_CLASSES} groups of classes apart",
        }
        warnings.warn(
            f"The table has {found}, the pretrained weights are meant for up to {accepted}: "
            f"{'; '.join(remedies[name] for name, _, _ in beyond)}.",
            stacklevel=6,
        )
        return True

    def _make_ensemble(self):
        encoder = self.encoder_
        return Ensemble(
            InContextNPT(Config(**self._config)),
            encoder.is_categorical_,
            int(encoder.n_categories_.max(initial=0)),
            self._n_target_codes,
            self.n_estimators,
            min(len(encoder.n_categories_), MAX_COLUMNS),
            self._member_seed,
        )

    def _fit_pretrained(self, values, target, groups, X, y):
        """Take encoded rows and their targets as the context of the shipped weights."""
        fold_seed, self._member_seed, tuning_seed = self._draw_seeds()
        net, facts = load_weights()
        self._config, self.weights_ = facts["config"], facts["sha256"]
        cells = self._as_cells(values, target)
        rng = np.random.RandomState(fold_seed)
        parts = min(LOO_FOLDS, len(cells) if groups is None else groups.max() + 1)
        fold = deal_folds(parts, cells[:, -1], rng, groups)
        if parts < 2:  # one group, which can not be predicted from the others
            fold[:] = -1
        self._context_seed = int(rng.randint(2**31 - 1))
        self._n_cells = cells.size
        module = self._build_module(0, torch.float32)
        module.net.load_state_dict(net.state_dict())
        module.arrange(cells)
        self.history_, self.n_iter_ = [], 0
        device = self._resolve_device()
        if self.fine_tune is not False:
            self._fitting = cells, fold
            self._fine_tune(module, cells, groups, tuning_seed, X, y)
            del self._fitting
        self.module_ = self._place(module, device)
        self._take_context(cells, fold)
        return self

    def _expect_columns(self, values):
        """Predict each column that has missing cells from the other columns, with the weights."""
        from .estimator import NPTClassifier, NPTRegressor

        known = self._context[:, :-1] * self._scale + self._center
        categorical = self.encoder_.is_categorical_
        expected = np.zeros_like(values)
        for column in np.flatnonzero(np.isnan(values).any(axis=0)):
            rows = np.flatnonzero(~np.isnan(known[:, column]))
            others = np.arange(len(categorical)) != column
            target = known[rows, column]
            if len(rows) == 0:
                continue
            if len(np.unique(target)) == 1 or not others.any():
                counts = np.unique(target, return_counts=True)
                common = counts[0][counts[1].argmax()]
                expected[:, column] = common if categorical[column] else target.mean()
                continue
            make = NPTClassifier if categorical[column] else NPTRegressor
            model = make(
                pretrained=True,
                n_estimators=self.n_estimators,
                context_size=self.context_size,
                categorical_features=categorical[others],
                device=str(next(self.module_.parameters()).device),  # `device` may be gone
                dtype=self.dtype,
                random_state=self._context_seed,
            )
            asked = np.flatnonzero(np.isnan(values[:, column]))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of limits: fit has told of them
                model.fit(known[rows][:, others], target)
            expected[asked, column] = model.predict(values[asked][:, others])
        return expected

    def _fine_tune(self, module, cells, groups, seed, X, y):
        """Train the weights on the table; with "auto" only as far as held-out rows gain by it."""
        rng = np.random.RandomState(seed)
        trained, held = np.arange(len(cells)), None
        if self.fine_tune == "auto":
            n_units = len(cells) if groups is None else groups.max() + 1
            if n_units < TUNING_FROM:
                return
            fold = deal_folds(round(1 / TUNING_HELD_OUT), cells[:, -1], rng, groups)
            trained, held = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
            n_steps = TUNING_EPOCHS * STEPS
        else:
            n_steps = self.fine_tune
        table = as_tensor(module, cells)
        if held is not None:
            context = table[trained[sample_evenly(CONTEXT_ROWS, cells[trained, -1], rng)]]
            queries = table[held[sample_evenly(CONTEXT_ROWS, cells[held, -1], rng)]]

        def held_out_loss(module):
            return module.held_out_loss(context, queries)

        validate = None if held is None else held_out_loss
        with torch.no_grad():
            before = math.nan if validate is None else validate(module)
        untouched = copy.deepcopy(module.state_dict())
        n_epochs = math.ceil(n_steps / STEPS)
        steps_of = iter([len(part) for part in np.array_split(np.arange(n_steps), n_epochs)])
        size = min(TUNING_ROWS, len(trained))

        def batches(generator):
            # a list has a length, by which the schedule moves
            steps = next(steps_of)
            share = torch.rand(steps, generator=generator)
            return [
                (
                    torch.randperm(len(trained), generator=generator)[None, :size],
                    min(max(int(size * (0.5 + 0.35 * share[step].item())), 1), size - 1),
                    generator,
                )
                for step in range(steps)
            ]

        kept = torch.as_tensor(trained)

        def loss(module, step):
            rows, n_context, generator = step
            return module.training_loss(table[kept[rows]], n_context, generator)

        after = math.nan
        try:
            self.history_ = train(
                module,
                batches=batches,
                loss=loss,
                validate=validate,
                max_epochs=n_epochs,
                learning_rate=TUNING_RATE,
                weight_decay=0.01,
                schedule=_warm_then_falling,
                clip_norm=1.0,
                average=0.9,
                n_iter_no_change=None if validate is None else TUNING_PATIENCE,
                generator=torch.Generator().manual_seed(seed),
                device=table.device,
                callbacks=self.callbacks,
                verbose=self.verbose,
                estimator=self,
                X=X,
                y=y,
            )
            with torch.no_grad():
                after = math.nan if validate is None else validate(module)
        except TrainingDiverged:
            if validate is None:
                raise
            module.zero_grad(set_to_none=True)
        self.n_iter_ = len(self.history_)
        if validate is not None and not after < before:
            module.load_state_dict(untouched)


def _warm_then_falling(progress):
    """Return the factor of the learning rate after a share of the training."""
    return min(1.0, (progress + 0.01) / 0.05) * (1 - 0.9 * progress)
