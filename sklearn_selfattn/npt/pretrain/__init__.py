"""Pretraining of NPT on synthetic tables: `python -m sklearn_selfattn.npt.pretrain`."""
