"""The scikit-learn face of visual parsing: a classifier and a regressor of pictures with text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight

from ..core.base import (
    SelfAttentionClassifierMixin,
    SelfAttentionRegressorMixin,
    guarded_fit,
)
from ..core.typing import Table
from .base import BaseVisualParsing


class VisualParsingClassifier(SelfAttentionClassifierMixin, BaseVisualParsing):
    r"""A classifier of pictures with a sentence, in which words look at places of the picture.

    For tables in which a row has a picture and a text: products, reports, questions about
    pictures. Features of the picture glued to a bag of words cannot match a word to a place; here
    both are tokens of one Transformer, after [1]_. The vocabulary and everything else is learnt
    in `fit`; nothing is downloaded.

    Parameters
    ----------
    backbone : {"cnn", "hybrid", "vit", "swin", "linear"}, default="cnn"
        How a picture becomes tokens. "cnn": convolutions. "hybrid": convolutions, then
        self-attention. "vit": linear patches, then self-attention. "swin": the same with
        attention in shifted windows. "linear": linear patches alone.
    patch_size : "auto" or int, default="auto"
        Pixels along the side of a visual token. "auto" takes the largest of 1, 2, 4, 8 that
        leaves three tokens along the shorter side. A picture is padded where it does not divide.
        For convolutions a power of 2.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the rows of a table of numbers, which then
        are pictures without text. None takes one row of pixels.
    image_column, text_column : str, default="image", "text"
        Columns of a frame.
    tokenizer : callable, default=None
        ``tokenizer(text)`` returns the words of a text. None takes words and signs, in lower case.
    max_text_length : int, default=None
        The most words of a text; longer ones are cut, with a warning. None takes the longest of
        `fit`.
    n_vision_layers : int, default=2
        Attention layers among visual tokens; not for "cnn" and "linear".
    pretrain_epochs : int, default=0
        Passes over the pairs of `fit` before labels are looked at; see `pretrain`.
    mlm_weight, itm_weight, mfr_weight : float, default=1.0
        Weights in pretraining of masked words, matching and masked visual tokens.
    mask_ratio : float, default=0.15
        Share of words and of visual tokens that pretraining hides.
    mfr_masking : {"attention", "random"}, default="attention"
        Which visual tokens are hidden together: those that look at each other most (the most alike
        where the backbone has no attention), or any.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes.
    d_model : int, default=64
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=4
        Number of attention heads.
    n_layers : int or "auto", default=2
        Layers in which pictures and words meet. "auto" chooses it, and a width in place of
        `d_model`, for the number of training rows, see
        :func:`~sklearn_selfattn.recommend_depth_width`.
    dropout : float, default=0.0
        Share of the activations that are set to zero in training.
    max_epochs : int, default=20
        The most passes over the training rows; some hundred rows want several times as many. The
        learning rate rises over the first tenth and falls along a cosine, so fewer epochs are
        another, shorter training.
    batch_size : int, default=64
        The most pairs in one step. Texts about one picture come in one batch, and the picture
        is seen once.
    learning_rate : float, default=1e-3
        Largest step size.
    weight_decay : float, default=0.01
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to hold rows out, to stop when the loss on them no longer falls, and to keep
        the weights of the best epoch. "auto" does so from 500 rows on. All texts about a picture
        are held out together.
    validation_fraction : float, default=0.1
        Share of the pictures that early stopping holds out.
    n_iter_no_change : int, default=20
        Epochs without a better loss on held-out rows before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float32 and predicts in float64 on the CPU, so that a
        prediction does not depend on the rows beside it.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, batches, masks and held-out rows. Results are reproducible for an int;
        no global random state is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    vocabulary_ : dict
        The code of each word.
    image_shape_ : tuple of int
        Height, width and channels of a picture.
    max_text_length_ : int
        The most words of a text.
    n_visual_tokens_ : int
        Visual tokens of a picture.
    n_layers_, d_model_ : int
        Depth and width of the module.
    module_ : torch.nn.Module
        The trained net.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds).
    pretrain_history_ : list of dict
        The same of pretraining, where there was one.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        2 for pairs, else the number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, if `X` was a frame with names.

    See Also
    --------
    VisualParsingRegressor : The same for numbers.
    inter_modality_flow : How much attention passes between picture and text.

    Notes
    -----
    With the visual tokens V of the picture and the embedded words T, the layers work on

    .. math:: X_0 = [c;\ \mathrm{LN}(W V + b) + \tau_V;\ s;\ \mathrm{LN}(T) + \tau_T]

    and the answer is read off the first token. Where a token stands enters the queries and keys of
    each layer. A pair of m visual tokens and l words, t = m + l + 2 tokens, costs about
    :math:`12 t d^2 + 2 t^2 d` multiplications in each layer, three times that in training; memory
    grows with the batch. Different pictures are told by their pixels and seen once in a batch.

    The paper's text was not available to us beyond its abstract: this is after it, not a copy of
    it. At the sizes that a CPU trains in minutes, convolutions beat self-attention as the
    backbone, against the paper's finding at its size; the guide has the figures.

    References
    ----------
    .. [1] Xue, Huang, Liu, Peng, Fu, Li, Luo, "Probing Inter-modality: Visual Parsing with
       Self-Attention for Vision-Language Pre-training", NeurIPS 2021, arXiv:2106.13488.

    Examples
    --------
    >>> from sklearn_selfattn import VisualParsingClassifier
    >>> from sklearn_selfattn.datasets import make_digit_scenes
    >>> X, y = make_digit_scenes(300, questions=["exist"], random_state=0)
    >>> model = VisualParsingClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

    _parameter_constraints = {
        **BaseVisualParsing._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        backbone: Literal["cnn", "hybrid", "vit", "swin", "linear"] = "cnn",
        patch_size: Literal["auto"] | int = "auto",
        image_shape: Sequence[int] | None = None,
        image_column: str = "image",
        text_column: str = "text",
        tokenizer: Callable[..., Any] | None = None,
        max_text_length: int | None = None,
        n_vision_layers: int = 2,
        pretrain_epochs: int = 0,
        mlm_weight: float = 1.0,
        itm_weight: float = 1.0,
        mfr_weight: float = 1.0,
        mask_ratio: float = 0.15,
        mfr_masking: Literal["attention", "random"] = "attention",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        d_model: int = 64,
        n_heads: int = 4,
        n_layers: int | Literal["auto"] = 2,
        dropout: float = 0.0,
        max_epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        callbacks: list[Any] | tuple[Any, ...] | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            patch_size=patch_size,
            image_shape=image_shape,
            image_column=image_column,
            text_column=text_column,
            tokenizer=tokenizer,
            max_text_length=max_text_length,
            n_vision_layers=n_vision_layers,
            pretrain_epochs=pretrain_epochs,
            mlm_weight=mlm_weight,
            itm_weight=itm_weight,
            mfr_weight=mfr_weight,
            mask_ratio=mask_ratio,
            mfr_masking=mfr_masking,
            d_model=d_model,
            n_heads=n_heads,
            n_layers=n_layers,
            dropout=dropout,
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            device=device,
            dtype=dtype,
            callbacks=callbacks,
            verbose=verbose,
            random_state=random_state,
        )
        self.class_weight = class_weight

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike) -> Self:
        """Train on pairs and their labels.

        Parameters
        ----------
        X : frame, array of pairs, list of pairs, pictures or table
            A frame with the columns `image_column` and `text_column`; an array of object of shape
            (n, 2) or a list of (picture, text); an array (n, height, width) or (n, height,
            width, channels) of pictures without text; or a table of numbers, see `image_shape`.
        y : array-like of shape (n_samples,)
            The labels. A single class is accepted, and predicted.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Pictures of different shapes (the first row is named) or with NaN, missing texts,
            missing columns, a picture smaller than a patch, missing or continuous targets, an
            invalid parameter. A model that was fitted before stays as it was.
        TypeError
            Something that is no picture or no text; sparse input.

        Warns
        -----
        UserWarning
            Texts longer than `max_text_length` were cut.
        """
        inputs, labels = self._check_fit_data(X, y)
        codes = self._encode_classes(labels)
        weight = compute_sample_weight(self.class_weight, labels)
        return self._fit_pairs(inputs, codes, weight, X, y, stratify=codes)

    def partial_fit(self, X: Table, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Go on training: one pass over further pairs.

        The first call learns vocabulary and scale of pictures from its pairs; words that come
        later are unknown ones. The learning rate stays as it is.

        Parameters
        ----------
        X : as in `fit`
            Pairs.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will occur; needed in the first call.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            `classes` is missing in the first call, or differs from that in a later one; a label
            is not among them; or as in `fit`. A model that was fitted before stays as it was.
        """
        return self._partial_fit(X, y, classes)

    def _target_of_part(self, labels, classes, *, is_first):
        if is_first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            classes = np.unique(classes)
            if not is_first and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"classes={classes} is not the same as in the first call to partial_fit: "
                    f"{self.classes_}."
                )
            self.classes_ = classes
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y has the labels {unknown}, which are not among classes.")
        codes = np.searchsorted(self.classes_, labels)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' is not for partial_fit, which does not see all labels; "
                "pass a dict."
            )
        return codes, compute_sample_weight(self.class_weight, labels)

    @property
    def _n_targets(self):
        return len(self.classes_)

    @staticmethod
    def _criterion(output, target):  # (n, k), (n,) -> (n,)
        return F.cross_entropy(output, target, reduction="none")

    def _raw_predict(self, X):
        return self._outputs(X)


class VisualParsingRegressor(SelfAttentionRegressorMixin, BaseVisualParsing):
    """A regressor of pictures with a sentence: `VisualParsingClassifier` for numbers.

    See there for the method, its equations and its limits.

    Parameters
    ----------
    backbone : {"cnn", "hybrid", "vit", "swin", "linear"}, default="cnn"
        How a picture becomes tokens. "cnn": convolutions. "hybrid": convolutions, then
        self-attention. "vit": linear patches, then self-attention. "swin": the same with
        attention in shifted windows. "linear": linear patches alone.
    patch_size : "auto" or int, default="auto"
        Pixels along the side of a visual token. "auto" takes the largest of 1, 2, 4, 8 that
        leaves three tokens along the shorter side. A picture is padded where it does not divide.
        For convolutions a power of 2.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the rows of a table of numbers, which then
        are pictures without text. None takes one row of pixels.
    image_column, text_column : str, default="image", "text"
        Columns of a frame.
    tokenizer : callable, default=None
        ``tokenizer(text)`` returns the words of a text. None takes words and signs, in lower case.
    max_text_length : int, default=None
        The most words of a text; longer ones are cut, with a warning. None takes the longest of
        `fit`.
    n_vision_layers : int, default=2
        Attention layers among visual tokens; not for "cnn" and "linear".
    pretrain_epochs : int, default=0
        Passes over the pairs of `fit` before labels are looked at; see `pretrain`.
    mlm_weight, itm_weight, mfr_weight : float, default=1.0
        Weights in pretraining of masked words, matching and masked visual tokens.
    mask_ratio : float, default=0.15
        Share of words and of visual tokens that pretraining hides.
    mfr_masking : {"attention", "random"}, default="attention"
        Which visual tokens are hidden together: those that look at each other most (the most alike
        where the backbone has no attention), or any.
    d_model : int, default=64
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=4
        Number of attention heads.
    n_layers : int or "auto", default=2
        Layers in which pictures and words meet. "auto" chooses it, and a width in place of
        `d_model`, for the number of training rows, see
        :func:`~sklearn_selfattn.recommend_depth_width`.
    dropout : float, default=0.0
        Share of the activations that are set to zero in training.
    max_epochs : int, default=20
        The most passes over the training rows; some hundred rows want several times as many. The
        learning rate rises over the first tenth and falls along a cosine, so fewer epochs are
        another, shorter training.
    batch_size : int, default=64
        The most pairs in one step. Texts about one picture come in one batch, and the picture
        is seen once.
    learning_rate : float, default=1e-3
        Largest step size.
    weight_decay : float, default=0.01
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to hold rows out, to stop when the loss on them no longer falls, and to keep
        the weights of the best epoch. "auto" does so from 500 rows on. All texts about a picture
        are held out together.
    validation_fraction : float, default=0.1
        Share of the pictures that early stopping holds out.
    n_iter_no_change : int, default=20
        Epochs without a better loss on held-out rows before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float32 and predicts in float64 on the CPU, so that a
        prediction does not depend on the rows beside it.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, batches, masks and held-out rows. Results are reproducible for an int;
        no global random state is touched.

    Attributes
    ----------
    target_mean_, target_scale_ : float
        Mean and standard deviation of the target, by which it is standardised in training.
    vocabulary_ : dict
        The code of each word.
    image_shape_ : tuple of int
        Height, width and channels of a picture.
    max_text_length_ : int
        The most words of a text.
    n_visual_tokens_ : int
        Visual tokens of a picture.
    n_layers_, d_model_ : int
        Depth and width of the module.
    module_ : torch.nn.Module
        The trained net.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds).
    pretrain_history_ : list of dict
        The same of pretraining, where there was one.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        2 for pairs, else the number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, if `X` was a frame with names.

    See Also
    --------
    VisualParsingClassifier : The same for classes, with the method explained.

    References
    ----------
    .. [1] Xue, Huang, Liu, Peng, Fu, Li, Luo, "Probing Inter-modality: Visual Parsing with
       Self-Attention for Vision-Language Pre-training", NeurIPS 2021, arXiv:2106.13488.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_selfattn import VisualParsingRegressor
    >>> X = load_digits().images[:300]
    >>> brightness = X.mean(axis=(1, 2))
    >>> model = VisualParsingRegressor(max_epochs=5, random_state=0).fit(X, brightness)
    >>> model.score(X, brightness) > 0.5
    True
    """

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike) -> Self:
        """Train on pairs and their target.

        Parameters
        ----------
        X : as in `VisualParsingClassifier.fit`
            Pairs, pictures or a table.
        y : array-like of shape (n_samples,)
            The target.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            As `VisualParsingClassifier.fit`. A model that was fitted before stays as it was.
        """
        inputs, given = self._check_fit_data(X, y)
        target = self._standardize_target(given)
        return self._fit_pairs(inputs, target, np.ones(len(target)), X, y)

    def partial_fit(self, X: Table, y: ArrayLike) -> Self:
        """Go on training: one pass over further pairs.

        The first call learns vocabulary, scale of pictures and scale of the target from its
        pairs; words that come later are unknown ones. The learning rate stays as it is.

        Parameters
        ----------
        X : as in `fit`
            Pairs.
        y : array-like of shape (n_samples,)
            Their target.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            As in `fit`. A model that was fitted before stays as it was.
        """
        return self._partial_fit(X, y, None)

    def _target_of_part(self, given, classes, *, is_first):
        if is_first:
            return self._standardize_target(given), np.ones(len(given))
        target = (np.asarray(given, dtype=np.float64) - self.target_mean_) / self.target_scale_
        return target, np.ones(len(given))

    _n_targets = 1

    @staticmethod
    def _criterion(output, target):  # (n, 1), (n,) -> (n,)
        return (output[:, 0] - target).square()

    def _raw_predict(self, X):
        return self._outputs(X)
