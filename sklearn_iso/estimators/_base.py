"""What scikit-learn asks of every estimator, and ours have in common."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._training import PenalizedNet
from sklearn_iso._typed import BaseEstimator, CallbackSupportMixin
from sklearn_iso.modules._stored import StoredModule
from sklearn_iso.penalties import Penalty, make_penalty
from sklearn_iso.persistence._store import save_estimator

if TYPE_CHECKING:
    from typing_extensions import Self


#: Parameters that hold a penalty, or the name of one.
PENALTY_ROLES = ("penalty", "decoder_penalty")


class StoredEstimator(CallbackSupportMixin, BaseEstimator):
    """Base of the estimators: ``save``, ``set_callbacks``, links in the HTML view."""

    _doc_link_module = "sklearn_iso"
    penalty: str | Penalty
    net_: PenalizedNet
    n_iter_: int
    history_: dict[str, list[float]]
    loss_curve_: list[float]

    def _get_doc_link(self) -> str:
        """Return where the reference of the class is; empty for a class of somebody else."""
        site, kind = documentation(), type(self)
        if not site or not kind.__module__.startswith("sklearn_iso."):
            return ""
        return f"{site}/reference/names/sklearn_iso.{kind.__name__}.html"

    def set_params(self, **params: object) -> Self:
        """Set parameters, those of a penalty too: a penalty by name becomes its object first.

        ``penalty__radius`` thus goes with ``penalty="isometric"``, in a grid for example, and
        ``decoder_penalty__scale`` with ``decoder_penalty="jacobian"``.

        Parameters
        ----------
        **params : dict
            As scikit-learn has them: ``penalty__radius`` is the `radius` of `penalty`.

        Returns
        -------
        self : estimator
        """
        inner = {key: params.pop(key) for key in list(params) if _role(key) in PENALTY_ROLES}
        super().set_params(**params)
        for role in {_role(key) for key in inner}:
            if isinstance(name := getattr(self, role, None), str):
                setattr(self, role, self._penalty_by_name(name, role))
        super().set_params(**inner)
        return self

    def _penalty_by_name(self, name: str, role: str = "penalty") -> Penalty:
        """Return the object that the name of a penalty stands for, as the parameter `role`."""
        return make_penalty(name)

    def save(self, path: str | os.PathLike[str], *, include_optimizer: bool = True) -> None:
        """Write the fitted estimator to one file, which :func:`sklearn_iso.load` reads.

        Parameters
        ----------
        path : path-like
            Usually ends in ".safetensors".
        include_optimizer : bool, default=True
            Keep what the optimiser knows, so that ``partial_fit`` goes on as if nothing had
            happened. It is twice the size of the weights for Adam; without it the file holds
            little but the weights, and the optimiser starts anew.
        """
        check_is_fitted(self)
        save_estimator(self, path, n_outputs=self._n_outputs, include_optimizer=include_optimizer)

    @property
    def _n_outputs(self) -> int:
        """Width of the network's output, by which a user's own is built again."""
        classes = getattr(self, "classes_", None)
        return 1 if classes is None else len(classes)

    def __getstate__(self) -> dict[str, object]:
        """Return the state for pickle, joblib and skops: networks of the user as plain data."""
        state = super().__getstate__()
        return {
            name: StoredModule(value) if isinstance(value, nn.Module) else value
            for name, value in state.items()
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take up such a state."""
        super().__setstate__(
            {
                name: value.module if isinstance(value, StoredModule) else value
                for name, value in state.items()
            }
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")


def _role(key: str) -> str:
    """Return the parameter whose own parameter a key is; empty for one of the estimator."""
    role, inner, _ = key.partition("__")
    return role if inner else ""


def with_dtypes(tags: Tags, *, single: bool) -> Tags:
    """Return tags that tell in which precisions what goes in comes out: float32 alone if `single`.

    Examples
    --------
    >>> from sklearn_iso import IsometricTransformer
    >>> tags = IsometricTransformer(mixed_precision=True).__sklearn_tags__()
    >>> tags.transformer_tags.preserves_dtype
    ['float32']
    """
    tags.transformer_tags.preserves_dtype = ["float32"] if single else ["float64", "float32"]
    return tags


def documentation() -> str:
    """Return where the documentation is: its published site, or what ``make docs`` built here.

    The published one is the URL "Documentation" of the installed package. Empty without either.
    """
    try:
        urls = metadata("sklearn-iso").get_all("Project-URL") or []
    except PackageNotFoundError:  # imported from a folder that nobody installed
        urls = []
    published = dict(url.split(", ", 1) for url in urls).get("Documentation", "")
    built = Path(__file__).parents[2] / "docs" / "_build" / "html"
    if published:
        return published.rstrip("/")
    return built.as_uri() if built.is_dir() else ""
