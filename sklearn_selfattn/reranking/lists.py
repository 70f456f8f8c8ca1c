"""Ranked lists to train on: where their embeddings lie, which items are relevant, in batches."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from .metrics import retrieval_metric
from .module import affinities, contrastive_loss, cosine_to_first, reconstruction_loss
from .search import DIGITS

CHUNK_BYTES = 2**23  # embeddings of the items of the lists that go through the module at once
# Never 0: without any of the first similarity the first place suffers, on all sets that were tried.
BLENDS = (0.25, 0.5, 1.0, 2.0, 4.0, math.inf)


class RankedLists:
    """Lists to train on, of one kind of embedding.

    Parameters
    ----------
    queries, gallery : ndarray of float32 of shape (n_queries, e) and (n_gallery, e)
        Unit rows.
    ranking : ndarray of int of shape (n_queries, k)
        Gallery rows, best first.
    hits : ndarray of shape (n_queries, k)
        Which items are relevant: those above 0.
    device : torch.device
        Where to keep them.
    """

    def __init__(self, queries, gallery, ranking, hits, device):
        self.queries = torch.as_tensor(queries, device=device)
        self.gallery = torch.as_tensor(gallery, device=device)
        self.ranking = torch.as_tensor(ranking, dtype=torch.int64, device=device)
        self.hits = torch.as_tensor(hits > 0, device=device)

    def items(self, rows, dtype):
        """Return the embeddings of some lists, the query first, (b, k + 1, e)."""
        found = self.gallery[self.ranking[rows]]  # (b, k, e)
        return torch.cat([self.queries[rows][:, None], found], dim=1).to(dtype)


class ListBatches:
    """Batches of an epoch: some lists of one kind of embedding at a time.

    Parameters
    ----------
    sources : list of RankedLists
        One for each kind of embedding of the same queries.
    rows : list of ndarray of int
        For each kind, the queries to train on.
    batch_size : int
        The most lists in a batch.
    feature_dropout : float
        Share of the embeddings' coordinates that a list goes without, others each time.
    """

    def __init__(self, sources, rows, batch_size, feature_dropout):
        self.sources, self.batch_size = sources, batch_size
        self.feature_dropout = feature_dropout
        self.rows = [torch.as_tensor(r) for r in rows]

    def __len__(self):
        return sum(math.ceil(len(rows) / self.batch_size) for rows in self.rows)

    def __call__(self, generator):
        """Yield (source, rows, kept coordinates or None) in an order drawn from `generator`."""
        batches = []
        for source, rows in zip(self.sources, self.rows, strict=True):
            if len(rows):
                order = torch.randperm(len(rows), generator=generator)
                n_parts = math.ceil(len(rows) / self.batch_size)
                batches += [(source, rows[part]) for part in order.tensor_split(n_parts)]
        for i in torch.randperm(len(batches), generator=generator).tolist():
            source, rows = batches[i]
            device = source.ranking.device
            kept = None
            if self.feature_dropout:
                shape = (len(rows), source.gallery.shape[1])
                kept = torch.rand(shape, generator=generator) >= self.feature_dropout
                kept = kept.to(device)
            yield source, rows.to(device), kept


class ListLoss:
    """The training loss of a batch of lists.

    Parameters
    ----------
    n_anchors : int
        Number of anchors.
    temperature : float
        Temperature of the contrastive loss.
    exclude_query : bool
        Whether the query is left out of its sums.
    each : bool
        Whether each relevant item has to score high, or one of them.
    reconstruction_weight : float
        Weight of the second loss.
    """

    def __init__(self, n_anchors, temperature, exclude_query, each, reconstruction_weight):
        self.n_anchors, self.temperature = n_anchors, temperature
        self.exclude_query, self.each = exclude_query, each
        self.reconstruction_weight = reconstruction_weight

    def __call__(self, module, batch):
        """Return the mean loss."""
        source, rows, kept = batch
        items = source.items(rows, module.project.weight.dtype)  # (b, k + 1, e)
        if kept is not None:
            items = F.normalize(items * kept[:, None], dim=-1)
        affinity = affinities(items, self.n_anchors)
        hits = source.hits[rows]
        relevant = torch.cat([torch.ones_like(hits[:, :1]), hits], dim=1)
        refined = module(affinity)  # (b, k + 1, d)
        loss = contrastive_loss(
            cosine_to_first(refined), relevant, self.temperature,
            exclude_query=self.exclude_query, each=self.each,
        )  # fmt: skip
        if self.reconstruction_weight:
            off = reconstruction_loss(affinity, module.align(refined))
            loss = loss + self.reconstruction_weight * off
        return loss.mean()


def affinity_chunks(module, queries, gallery, ranking):
    """Yield the affinities of some lists at a time, as `module` wants them, (b, k + 1, l)."""
    weight = module.project.weight
    n_anchors = weight.shape[1]
    widest = max(gallery.shape[1], n_anchors, module.width)
    size = max(1, CHUNK_BYTES // (8 * (ranking.shape[1] + 1) * widest))
    for start in range(0, len(ranking), size):
        rows = slice(start, start + size)
        items = np.concatenate([queries[rows, None], gallery[ranking[rows]]], axis=1)
        tensor = torch.as_tensor(items, dtype=weight.dtype, device=weight.device)
        yield affinities(tensor, n_anchors)


def score_lists(module, queries, gallery, ranking):
    """Score the items of lists.

    Returns
    -------
    refined, similarity : ndarray of float64 of shape (n_queries, k)
        Cosines with the query: of refined features, and of the embeddings themselves.
    """
    refined, similarity = [], []
    with torch.inference_mode():
        for affinity in affinity_chunks(module, queries, gallery, ranking):
            refined.append(module.scores(affinity)[:, 1:])
            similarity.append(affinity[:, 1:, 0])
        both = [torch.cat(part).to("cpu", torch.float64).numpy() for part in (refined, similarity)]
    return both[0], both[1]


def blended(refined, similarity, blend):
    """Mix two scores; the mean with weights 1 and `blend`, the second alone for infinity."""
    if math.isinf(blend):
        return similarity
    return (refined + blend * similarity) / (1 + blend)


def precision_by_blend(refined, similarity, hits, n_relevant):
    """Measure lists re-ranked with each of `BLENDS`.

    Returns
    -------
    mean_precision, first : ndarray of shape (n_blends,)
        Mean average precision, and precision in the first place.
    """
    found = []
    for blend in BLENDS:
        scores = np.round(blended(refined, similarity, blend), DIGITS)
        ordered = np.take_along_axis(hits, np.argsort(-scores, axis=1, kind="stable"), axis=1)
        found.append([
            retrieval_metric(ordered, metric, n_relevant=n_relevant)
            for metric in ("map", "precision@1")
        ])  # fmt: skip
    mean_precision, first = np.array(found).T
    return mean_precision, first


def best_blend(mean_precision, first):
    """Choose the blend by the sum of both: a re-ranker that gains the one often loses the other.

    The last of `BLENDS` is not to re-rank at all.
    """
    return BLENDS[int(np.argmax(mean_precision + first))]
