"""What scikit-learn's searches ask a scorer about the weights of samples."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRequest, MetadataRouter, get_routing_for_object

if TYPE_CHECKING:
    from typing_extensions import Self


def takes_weights(scorer: Callable[..., float]) -> bool:
    """Return whether a scorer takes ``sample_weight``, as scikit-learn's searches find out.

    Examples
    --------
    >>> from sklearn.metrics import get_scorer
    >>> from sklearn_iso.metrics._routing import takes_weights
    >>> takes_weights(get_scorer("accuracy")), takes_weights(lambda estimator, X, y: 0.0)
    (True, False)
    """
    if hasattr(scorer, "_accept_sample_weight"):
        return bool(scorer._accept_sample_weight())
    return "sample_weight" in inspect.signature(scorer).parameters


class WeightedScorer:
    """A scorer that takes ``sample_weight``, and is asked for it as scikit-learn's own are.

    Without metadata routing a search passes the weights of its ``fit`` on to the scorer. With it,
    the scorer says by :meth:`set_score_request` whether it wants them; until it has, passing them
    is an error.

    Examples
    --------
    >>> from sklearn_iso.metrics import make_adversarial_scorer
    >>> from sklearn_iso.metrics._routing import WeightedScorer
    >>> isinstance(make_adversarial_scorer(eps=0.1), WeightedScorer)
    True
    """

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Say whether weights are to be passed on to the scorer, under metadata routing.

        Parameters
        ----------
        sample_weight : bool, str or None
            True: passed; False: not; None: an error if somebody passes them; a name: those
            that are passed under this name.

        Returns
        -------
        self

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        TypeError
            If the scorer takes no weights.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request needs metadata routing, which is not enabled. Call "
                "sklearn.set_config(enable_metadata_routing=True) before."
            )
        if not self._accept_sample_weight():
            raise TypeError(
                f"A scorer must take sample_weight to ask for it; {self!r} does not. Wrap one that "
                "does, such as make_adversarial_scorer makes."
            )
        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=sample_weight)
        object.__setattr__(self, "_metadata_request", request)  # dataclasses are frozen
        return self

    def get_metadata_routing(self) -> MetadataRequest | MetadataRouter:
        """Return what the scorer wants to be passed, for scikit-learn's metadata routing."""
        request = self.__dict__.get("_metadata_request")
        return self._default_request() if request is None else get_routing_for_object(request)

    def _default_request(self) -> MetadataRequest | MetadataRouter:
        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=None)
        return request

    def _accept_sample_weight(self) -> bool:
        # Searches ask every scorer this when sample_weight is passed to fit.
        return True
