"""How visual parsing is fitted: pairs into tensors, pretraining, training, prediction."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_is_fitted,
    validate_data,
)

from ..core.base import (
    BaseSelfAttention,
    SelfAttentionTransformerMixin,
    guarded_fit,
    weighted_mean_and_scale,
)
from ..core.columns import frame_library
from ..core.maps import AttentionMaps
from ..core.parts import in_parts
from ..core.persistence import to_small_array
from ..core.target import check_target
from ..core.training import one_cycle, weighted_row_loss
from ..core.typing import Table
from .module import BACKBONES, PAD, Pairs, VisualParsingNet
from .pairs import columns_of, encode_words, learn_vocabulary, read_images, read_texts, split_words
from .pretraining import pretraining_loss

AVERAGE = 0.98  # decay of the running average of the weights
CLIP_NORM = 1.0
PAIRS_AT_ONCE = 512  # that go through the net in prediction
MAX_PATCH = 8  # patch_size="auto" takes at least three tokens a side, and at most so many pixels


class BaseVisualParsing(SelfAttentionTransformerMixin, BaseSelfAttention):
    """What VisualParsingClassifier and VisualParsingRegressor share."""

    _parameter_constraints = {
        **BaseSelfAttention._parameter_constraints,
        "backbone": [StrOptions(set(BACKBONES))],
        "patch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "image_shape": [tuple, list, None],
        "image_column": [str],
        "text_column": [str],
        "tokenizer": [callable, None],
        "max_text_length": [Interval(Integral, 1, None, closed="left"), None],
        "n_vision_layers": [Interval(Integral, 1, None, closed="left")],
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left")],
        "mlm_weight": [Interval(Real, 0, None, closed="left")],
        "itm_weight": [Interval(Real, 0, None, closed="left")],
        "mfr_weight": [Interval(Real, 0, None, closed="left")],
        "mask_ratio": [Interval(Real, 0, 1, closed="neither")],
        "mfr_masking": [StrOptions({"attention", "random"})],
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
        self.backbone = backbone
        self.patch_size = patch_size
        self.image_shape = image_shape
        self.image_column = image_column
        self.text_column = text_column
        self.tokenizer = tokenizer
        self.max_text_length = max_text_length
        self.n_vision_layers = n_vision_layers
        self.pretrain_epochs = pretrain_epochs
        self.mlm_weight = mlm_weight
        self.itm_weight = itm_weight
        self.mfr_weight = mfr_weight
        self.mask_ratio = mask_ratio
        self.mfr_masking = mfr_masking

    # --- what goes in -------------------------------------------------------------------

    def _read(self, X, *, reset):
        """Return different pictures (u, h, w, c), which one each row has, and sentences.

        Sentences are None where X is a table of numbers, whose rows are pictures.
        """
        parts = columns_of(X, self.image_column, self.text_column)
        if parts is not None:
            if frame_library(X) is not None:
                validate_data(self, X, reset=reset, skip_check_array=True)
            else:
                _check_feature_names(self, X, reset=reset)
                _check_n_features(self, np.empty((len(parts[0]), 2)), reset=reset)
            images, texts = parts
            texts = read_texts(texts)
            return *read_images(images), texts
        if isinstance(X, np.ndarray) and X.ndim in (3, 4) and X.dtype != object:
            _check_feature_names(self, X, reset=reset)
            _check_n_features(self, X.reshape(len(X), -1), reset=reset)
            return *read_images(list(X)), None
        X = validate_data(self, X, reset=reset, dtype=np.float64)
        shape = (1, X.shape[1]) if self.image_shape is None else tuple(self.image_shape)
        if math.prod(shape) != X.shape[1] or len(shape) not in (2, 3):
            raise ValueError(
                "image_shape has to be (height, width) or (height, width, channels) with as many "
                f"numbers as X has columns, {X.shape[1]}; got {self.image_shape}."
            )
        images = X.reshape(len(X), *shape)
        return images[..., None] if len(shape) == 2 else images, np.arange(len(X)), None

    def _split_texts(self, texts):
        tokenizer = split_words if self.tokenizer is None else self.tokenizer
        return [list(tokenizer(text)) for text in texts]

    def _encode(self, X, *, reset):
        """Return pictures, which of them each row has, and codes of words."""
        if not reset:
            check_is_fitted(self)
        images, image, texts = self._read(X, reset=reset)
        split = [[]] * len(image) if texts is None else self._split_texts(texts)
        if reset:
            self._learn(images, texts, split)
        if images.shape[1:] != self.image_shape_:
            raise ValueError(
                f"Pictures have the shape {images.shape[1:]} (height, width, channels), but "
                f"{type(self).__name__} was fitted on {self.image_shape_}."
            )
        words, n_cut = encode_words(split, self.vocabulary_, self.max_text_length_)
        if n_cut:
            warnings.warn(
                f"{n_cut} of {len(split)} texts have more than {self.max_text_length_} words "
                "(max_text_length) and were cut.",
                stacklevel=4,
            )
        return self._scaled(images), image, words

    def _learn(self, images, texts, split):
        """Set what is learnt from pictures and sentences: shape, scale, vocabulary."""
        patch, backbone = self.patch_size, self.backbone
        height, width = images.shape[1:3]
        if patch == "auto":
            patch = 1
            while patch < MAX_PATCH and 6 * patch <= min(height, width):
                patch *= 2
        elif patch > min(height, width):
            raise ValueError(
                f"patch_size={patch} is larger than a picture, whose height and width are "
                f"{height} and {width}."
            )
        if backbone in ("cnn", "hybrid") and patch & (patch - 1):
            raise ValueError(
                f"backbone={backbone!r} halves pictures again and again: patch_size has to be a "
                f"power of 2, got {patch}."
            )
        self.image_shape_ = images.shape[1:]
        self._patch = patch
        # rows of a table have columns of their own scale; pictures have channels
        by_column = texts is None and images.shape[1] == 1
        as_rows = images.reshape(len(images), -1) if by_column else None
        flat = as_rows if by_column else images.reshape(-1, images.shape[-1])
        self._mean, self._scale = weighted_mean_and_scale(self._as_floats(flat))
        self.vocabulary_ = learn_vocabulary(split)
        longest = max(map(len, split), default=0)
        self.max_text_length_ = longest if self.max_text_length is None else self.max_text_length

    @staticmethod
    def _as_floats(pixels):
        return pixels.astype(np.float64) / (255.0 if pixels.dtype == np.uint8 else 1.0)

    def _scaled(self, images):
        """Standardise pictures and put channels first, ``(u, c, h, w)`` of float32."""
        shape = (1, *self.image_shape_[:2], -1) if len(self._mean) > images.shape[-1] else (-1,)
        mean, scale = self._mean.reshape(shape), self._scale.reshape(shape)
        values = (self._as_floats(images) - mean) / scale
        return np.moveaxis(values, -1, 1).astype(np.float32)

    # --- training -----------------------------------------------------------------------

    def _make_module(self):
        height, width, channels = self.image_shape_
        return VisualParsingNet(
            (channels, height, width),
            len(self.vocabulary_) + 3,
            self.max_text_length_,
            self._n_outputs,
            backbone=self.backbone,
            patch=self._patch,
            d_model=self.d_model_,
            n_heads=self.n_heads,
            n_layers=self.n_layers_,
            n_vision_layers=self.n_vision_layers,
            dropout=float(self.dropout),
            cross=getattr(self, "_cross", True),
        )

    def _resolve_dtype(self, n_rows):
        return torch.float32 if self.dtype == "auto" else getattr(torch, self.dtype)

    def _check_fit_data(self, X, y):
        """Check X and y; start from what `pretrain` has learnt, where it was called."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        pretrained = getattr(self, "_pretrained", None)
        if pretrained is None:
            inputs = self._encode(X, reset=True)
        else:
            self.__dict__.update(copy.copy(pretrained["facts"]))
            inputs = self._encode_again(X)
        y = check_target(y, self)
        check_consistent_length(inputs[1], y)
        return inputs, y

    def _encode_again(self, X):
        images, image, texts = self._read(X, reset=False)
        if images.shape[1:] != self.image_shape_:
            raise ValueError(
                f"Pictures have the shape {images.shape[1:]} (height, width, channels), but "
                f"{type(self).__name__} was pretrained on {self.image_shape_}."
            )
        split = [[]] * len(image) if texts is None else self._split_texts(texts)
        words, _ = encode_words(split, self.vocabulary_, self.max_text_length_)
        return self._scaled(images), image, words

    def _fit_pairs(self, inputs, target, weight, X, y, *, stratify=None):
        """Build the net, pretrain it if that is asked for, and train it on the target."""
        images, image, words = inputs
        split_seed, module_seed, batch_seed = self._draw_seeds()
        groups = image if len(images) < len(image) else None
        rows = self._split_validation(len(image), split_seed, stratify=stratify, groups=groups)
        if groups is not None:
            rows = tuple(np.sort(part) for part in rows)
        module = self._start_module(module_seed, len(image))
        if self.pretrain_epochs and not hasattr(self, "_pretrained"):
            self._run_pretraining(module, inputs, rows[0], self.pretrain_epochs, batch_seed, X)
        data = (inputs, target, weight)
        self._train_pairs(module, data, rows, batch_seed, X, y, schedule=one_cycle, average=AVERAGE)
        return self

    def _partial_fit(self, X, y, classes):
        """Train for one epoch from where training stood; a call that fails changes nothing."""
        before = self.__dict__.copy()
        try:
            self._validate_params()
            is_first = not hasattr(self, "_n_outputs") or not self._n_outputs
            if is_first:
                inputs, y_checked = self._check_fit_data(X, y)
            else:
                inputs, y_checked = self._encode(X, reset=False), check_target(y, self)
                check_consistent_length(inputs[1], y_checked)
            target, weight = self._target_of_part(y_checked, classes, is_first=is_first)
            _, module_seed, batch_seed = self._draw_seeds()
            if is_first:
                module = self._start_module(module_seed, len(target))
                self._fitted_with = self.get_params(deep=False)
            else:
                module = copy.deepcopy(self.module_).to(self._resolve_dtype(len(target)))
            rows = (np.arange(len(target)), np.arange(0))
            data = (inputs, target, weight)
            self._train_pairs(module, data, rows, batch_seed, X, y, max_epochs=1)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _train_pairs(self, module, data, rows, seed, X, y, **options):
        device, dtype = self._resolve_device(), next(module.parameters()).dtype
        (images, image, words), target, weight = data
        data = _Data(images, image, words, target, weight, device=device, dtype=dtype)
        loss = weighted_row_loss(self._criterion)

        train_rows, valid_rows = (torch.as_tensor(part, device=device) for part in rows)

        def validate(net):
            total = 0.0
            for part in valid_rows.split(PAIRS_AT_ONCE):
                batch = data.take(part)
                total += float(loss(net, batch) * batch[-1].sum())
            return total / float(data.weight[valid_rows].sum())

        self._train(
            module,
            batches=_Batches(data, train_rows, self.batch_size),
            loss=loss,
            validate=validate if len(valid_rows) else None,
            seed=seed,
            X=X,
            y=y,
            clip_norm=CLIP_NORM,
            **options,
        )

    # --- pretraining --------------------------------------------------------------------

    @guarded_fit
    def pretrain(self, X: Table, y: object = None) -> Self:
        r"""Learn from pairs without labels what words and pictures have to do with each other.

        Three tasks share each step: masked words are told from the picture and the rest of the
        sentence (MLM), pairs are told from pictures with somebody else's sentence (ITM), masked
        visual tokens are restored (MFR):

        .. math:: L = w_{MLM} L_{MLM} + w_{ITM} L_{ITM} + w_{MFR} L_{MFR}

        `fit` then starts from these weights and this vocabulary. They are forgotten by
        :func:`~sklearn.base.clone`, as all that was fitted.

        Parameters
        ----------
        X : frame with a picture and a text column, array of pairs, or table
            Pairs; labels are not needed.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The estimator. It answers `match_proba`, `retrieve` and `transform`; to predict it
            has to be fitted.

        Raises
        ------
        ValueError
            As `fit`; or all three weights are 0.

        Warns
        -----
        UserWarning
            There are no sentences, or one row only: masked words and matching are off.
        """
        self.__dict__.pop("_pretrained", None)
        for name in ("classes_", "target_mean_", "target_scale_"):
            self.__dict__.pop(name, None)
        inputs = self._encode(X, reset=True)
        _, module_seed, batch_seed = self._draw_seeds()
        self._n_outputs = 0
        self._choose_shape(len(inputs[1]))
        module = self._build_module(module_seed, self._resolve_dtype(len(inputs[1])))
        rows = np.arange(len(inputs[1]))
        self._run_pretraining(module, inputs, rows, self.max_epochs, batch_seed, X)
        names = ("image_shape_", "_patch", "_mean", "_scale", "vocabulary_", "max_text_length_",
                 "n_features_in_", "feature_names_in_", "n_layers_", "d_model_")  # fmt: skip
        self._pretrained = {
            "facts": {name: getattr(self, name) for name in names if hasattr(self, name)},
            "weights": {k: to_small_array(v) for k, v in self.module_.state_dict().items()},
        }
        return self

    def _run_pretraining(self, module, inputs, rows, n_epochs, seed, X):
        images, image, words = inputs
        weights = {"mlm": self.mlm_weight, "itm": self.itm_weight, "mfr": self.mfr_weight}
        if not (words != PAD).any() or len(rows) < 2:
            if weights["mlm"] or weights["itm"]:
                warnings.warn(
                    "Masked words and matching are off in pretraining: there are "
                    + ("no sentences." if len(rows) > 1 else "no two rows."),
                    stacklevel=4,
                )
            weights["mlm"] = weights["itm"] = 0.0
        if not any(weights.values()):
            raise ValueError(
                "There is nothing to pretrain by: mlm_weight, itm_weight and mfr_weight are 0, or "
                "their tasks are off."
            )
        device, dtype = self._resolve_device(), next(module.parameters()).dtype
        nothing = np.zeros(len(image))
        data = _Data(images, image, words, nothing, nothing, device=device, dtype=dtype)
        batches = _Batches(data, torch.as_tensor(rows, device=device), self.batch_size)
        generator = torch.Generator().manual_seed(seed)
        loss = pretraining_loss(
            weights, self.mask_ratio, self.mfr_masking == "attention", generator
        )
        self._train(
            module,
            batches=batches,
            loss=loss,
            max_epochs=n_epochs,
            seed=seed,
            X=X,
            schedule=one_cycle,
            clip_norm=CLIP_NORM,
        )
        self.pretrain_history_ = self.history_

    def _start_module(self, seed, n_rows):
        """Build the module for the targets; it starts from what `pretrain` learnt, if it did."""
        pretrained = getattr(self, "_pretrained", None)
        self._n_outputs = self._n_targets
        if pretrained is None or self.n_layers != "auto":  # else the shape is that of `pretrain`
            self._choose_shape(n_rows)
        module = self._build_module(seed, self._resolve_dtype(n_rows))
        if pretrained is not None:
            self._load(module, pretrained["weights"])
        return module

    def _load(self, module, weights):
        """Fill pretrained weights into a module that may have a head."""
        state = module.state_dict()
        state.update({k: torch.tensor(v) for k, v in weights.items() if not k.startswith("head.")})
        module.load_state_dict(state)

    # --- prediction ---------------------------------------------------------------------

    def _forward_pairs(self, inputs, forward, *, crop=True):
        """Call a method of the net on pairs, some hundred at a time.

        Without `crop` all sentences have the length of the longest, for outputs with an axis of
        tokens. Returns an ndarray of float64.
        """
        parameter = next(self.module_.parameters())
        nothing = np.zeros(len(inputs[1]))
        images, image, words = inputs
        data = _Data(
            images, image, words, nothing, nothing, device=parameter.device, dtype=parameter.dtype
        )
        rows = torch.arange(len(inputs[1]), device=parameter.device)

        def outputs(part):
            return forward(data.take(rows[part], crop=crop)[0]).to("cpu", torch.float64)

        with torch.inference_mode():
            return in_parts(outputs, len(rows), PAIRS_AT_ONCE).numpy()

    def _outputs(self, X):
        return self._forward_pairs(self._encode(X, reset=False), self.module_)

    def _export_inputs(self, X):
        images, image, words = self._encode(X, reset=False)
        found = {"pixels": (self._as_numbers(images)[image], 1)}
        if words.shape[1]:
            found["words"] = (words, 1)
        return found

    def _export_forward(self):
        def outputs(pixels, words=None):
            if words is None:
                words = pixels.new_zeros((pixels.shape[0], 0), dtype=torch.int64)
            return self.module_(Pairs(pixels, None, words))

        return outputs

    def _raw_transform(self, X):
        return self._forward_pairs(self._encode(X, reset=False), self.module_.summary)

    @property
    def _n_features_out(self):
        return self.module_.word.embedding_dim

    def match_proba(self, X: Table) -> np.ndarray:
        """Return how probable it is that picture and sentence belong together.

        Only after pretraining with matching (`itm_weight`), by `pretrain` or `pretrain_epochs`.
        Training on labels afterwards leaves the part that answers as it is, but not what it
        reads: ask before `fit`, or of a copy.

        Parameters
        ----------
        X : frame with a picture and a text column, or array of pairs
            Pairs.

        Returns
        -------
        ndarray of shape (n_samples,)
            Probabilities.

        Raises
        ------
        ValueError
            There was no pretraining with matching.
        """
        inputs = self._encode(X, reset=False)
        self._check_matching()
        logits = self._forward_pairs(inputs, self.module_.matching)
        return 1 / (1 + np.exp(-logits[:, 0]))

    def _check_matching(self):
        if not hasattr(self, "pretrain_history_") or not self.itm_weight:
            raise ValueError(
                "Matching was not learnt: call pretrain(X) with itm_weight above 0 first."
            )

    def retrieve(
        self, images: Sequence[Any], texts: Sequence[str], n_neighbors: int = 5
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the pictures that a sentence speaks of.

        Every pair goes through the net: the cost is that of ``len(images) * len(texts)``
        predictions.

        Parameters
        ----------
        images : sequence of pictures
            To search among.
        texts : sequence of str
            What is asked.
        n_neighbors : int, default=5
            Pictures for each sentence.

        Returns
        -------
        proba : ndarray of shape (n_texts, n_neighbors)
            Probability of a match, the best first.
        indices : ndarray of int of shape (n_texts, n_neighbors)
            Positions in `images`.
        """
        check_is_fitted(self)
        self._check_matching()
        texts, images = read_texts(list(texts)), list(images)
        if not 1 <= n_neighbors <= len(images):
            raise ValueError(
                f"n_neighbors has to lie in [1, {len(images)}], the number of images; got "
                f"{n_neighbors}."
            )
        pictures, image = read_images(images)
        if pictures.shape[1:] != self.image_shape_:
            raise ValueError(
                f"Pictures have the shape {pictures.shape[1:]} (height, width, channels), but "
                f"{type(self).__name__} was fitted on {self.image_shape_}."
            )
        scaled = self._scaled(pictures)
        words, _ = encode_words(self._split_texts(texts), self.vocabulary_, self.max_text_length_)
        proba = np.empty((len(texts), len(images)))
        for row, sentence in enumerate(words):
            pairs = (scaled, image, np.broadcast_to(sentence, (len(images), len(sentence))).copy())
            proba[row] = self._forward_pairs(pairs, self.module_.matching)[:, 0]
        best = np.argsort(-proba, axis=1, kind="stable")[:, :n_neighbors]
        return 1 / (1 + np.exp(-np.take_along_axis(proba, best, axis=1))), best

    # --- looking ------------------------------------------------------------------------

    def attention_weights(self, X: Table, layer: int | None = None) -> AttentionMaps:
        """Return which tokens of the pairs look at which, layer by layer.

        Parameters
        ----------
        X : frame with a picture and a text column, array of pairs, or table
            Pairs.
        layer : int, default=None
            Position of one layer; None returns all.

        Returns
        -------
        AttentionMaps
            Layers (n_samples, n_heads, n_tokens, n_tokens). Tokens are "[CLS]", the places of the
            picture "image[row, column]", "[SEP]" and the words: by name if all sentences are the
            same, else by place. Beyond the end of a shorter sentence nothing is looked at.

        Raises
        ------
        ValueError
            There is no such layer.
        """
        inputs = self._encode(X, reset=False)
        layers = list(range(self.n_layers_))
        if layer is not None:
            if not -len(layers) <= layer < len(layers):
                raise ValueError(
                    f"layer has to be in [{-len(layers)}, {len(layers)}), got {layer}."
                )
            layers = [layer % len(layers)]
        found = self._layers(inputs, "shares")
        labels = self._token_labels(inputs[2])
        return AttentionMaps(
            [found[:, i] for i in layers],
            query_labels=labels,
            key_labels=labels,
            query_axis="token",
            key_axis="token",
        )

    def _flow_parts(self, X, *, with_norms):
        """Return what `inter_modality_flow` asks for: maps, norms, groups and real tokens."""
        maps = self.attention_weights(X)
        inputs = self._encode(X, reset=False)
        norms = None
        if with_norms:
            norms = np.moveaxis(self._layers(inputs, "value_norms"), 1, 0)
        first_word = 2 + self.n_visual_tokens_
        groups = range(1, first_word - 1), range(first_word, maps.n_keys)
        mask = np.ones((maps.n_samples, maps.n_keys), dtype=bool)
        mask[:, first_word:] = inputs[2] != PAD
        return maps, norms, groups, mask

    def _layers(self, inputs, what):
        """Return "shares" or "value_norms" of all layers, ``(n, layers, h, t, t)``."""
        return self._forward_pairs(
            inputs, lambda pairs: self.module_.layers(pairs, what), crop=False
        )

    @property
    def n_visual_tokens_(self) -> int:
        """Number of visual tokens of a picture."""
        return self.module_.n_visual

    def _token_labels(self, words):
        rows, columns = self.module_.image_tokens.grid
        places = [f"image[{r}, {c}]" for r in range(rows) for c in range(columns)]
        if len(words) and (words == words[0]).all():
            names = {code: word for word, code in self.vocabulary_.items()}
            said = [names.get(code, "[UNK]") for code in words[0].tolist()]
        else:
            said = [f"word[{i}]" for i in range(words.shape[1])]
        return ["[CLS]", *places, "[SEP]", *said]

    def _encode_table(self, X, *, reset):
        # one class: decision_function asks how many rows there are, whatever they are
        return self._encode(X, reset=reset)[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        return tags


class _Data:
    """All pairs on the device; `take` makes batches of them."""

    def __init__(self, images, image, words, target, weight, *, device, dtype):
        self.images = torch.as_tensor(images, dtype=dtype, device=device)
        self.image = torch.as_tensor(image, device=device)
        self.words = torch.as_tensor(words, device=device)
        self.n_words = (self.words != PAD).sum(1)
        target = torch.as_tensor(target, device=device)
        self.target = target.to(dtype) if target.is_floating_point() else target
        self.weight = torch.as_tensor(weight, dtype=dtype, device=device)

    def take(self, rows, *, crop=True):
        """Return (pairs, target, weight): each picture once, words up to the longest sentence."""
        different, image = self.image[rows].unique(return_inverse=True)
        words = self.words[rows]
        if crop:
            words = words[:, : int(self.n_words[rows].max())]
        return Pairs(self.images[different], image, words), self.target[rows], self.weight[rows]


class _Batches:
    """Batches of pairs; sentences about one picture come together, so that it is seen once."""

    def __init__(self, data, rows, batch_size):
        self.data, self.rows, self.batch_size = data, rows, batch_size

    def __len__(self):
        return math.ceil(len(self.rows) / self.batch_size)

    def __call__(self, generator):
        """Yield the batches of one epoch, in an order drawn from `generator`."""
        rows = self.rows
        if len(self) > 1:
            device = rows.device
            order = torch.randperm(len(rows), generator=generator).to(device)
            place = torch.randperm(len(self.data.images), generator=generator).to(device)
            rows = rows[order]
            rows = rows[place[self.data.image[rows]].argsort(stable=True)]
        parts = rows.tensor_split(len(self))
        if len(self) > 1:
            parts = [parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()]
        for part in parts:
            yield self.data.take(part)
