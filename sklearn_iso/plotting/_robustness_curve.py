"""Accuracy, or error, under attack against the budget of the attack."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.base import is_regressor

from sklearn_iso._protocols import Classifier, RandomState
from sklearn_iso._threat import Threat, as_threat
from sklearn_iso._weighting import effective_number
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.metrics import (
    RegressionReport,
    RobustnessReport,
    certified_accuracy,
    robustness_curve,
)
from sklearn_iso.metrics._regression_problem import LossLike, SampleLoss
from sklearn_iso.metrics._weights import check_weights
from sklearn_iso.plotting._axes import axes_for, class_name, figure_of, label_budgets
from sklearn_iso.plotting._checks import as_numbers, check_parameters
from sklearn_iso.plotting._proven_band import ProvenBand, check_certified, draw_proven

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


class RobustnessCurveDisplay:
    """Accuracy under attack against the budget of the attack, with its confidence interval.

    Of a regressor, the mean loss under attack. Where a certified accuracy is known too, the truth
    lies between the two: in the shaded band between the dotted curve and the other.

    Make one with :meth:`from_estimator`, :meth:`from_report` or :meth:`from_predictions`; draw
    several models on one axes by passing the `ax_` of the first as `ax` of the next.

    Parameters
    ----------
    eps : array-like of shape (n_budgets,)
        Budgets of the attack, in units of the threat; in any order.
    accuracy : array-like of shape (n_budgets,)
        Share of all samples that are classified correctly at each budget, in [0, 1]; with `loss`,
        the mean loss of a regressor.
    threat : ThreatModel, or the name of a norm
        What the attack could do: the norm that the budget bounds, and its units.
    n_samples : int, default=None
        How many samples each accuracy is a share of. If given, the display shows the 95% Wilson
        interval of each.
    estimator_name : str, default=None
        Name of the model in the legend.
    loss : str, default=None
        Loss of a regressor that the values are means of, without interval; None for accuracies.
    certified : array-like of shape (n_budgets,), default=None
        Share of all samples that provably hold within each budget, at most `accuracy`.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The curve.
    band_ : matplotlib artist or None
        The confidence intervals of accuracies, if `n_samples` is known: with `certified` from the
        low end of that of the certified accuracy to the high end of that under attack.
    proven_ : ProvenBand or None
        Line, band and labels of the certified accuracy.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If eps and accuracy differ in length, a budget is negative, an accuracy is no share,
        n_samples is no count, or more is certified than is left under attack.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22, 1927.

    Examples
    --------
    >>> from sklearn_iso.plotting import RobustnessCurveDisplay
    >>> display = RobustnessCurveDisplay(
    ...     eps=[0, 0.1, 0.2], accuracy=[0.97, 0.5, 0.1], threat="linf", n_samples=1000
    ... )
    >>> display.plot().ax_.get_ylabel()
    'Accuracy under attack'
    """

    eps: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    line_: Line2D
    certified: NDArray[np.float64] | None
    band_: PolyCollection | None
    proven_: ProvenBand | None
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        eps: ArrayLike,
        accuracy: ArrayLike,
        *,
        threat: Threat,
        n_samples: int | None = None,
        estimator_name: str | None = None,
        loss: str | None = None,
        certified: ArrayLike | None = None,
    ) -> None:
        check_parameters(type(self), estimator_name=estimator_name, loss=loss)
        self.eps = as_numbers(eps, "eps", ndim=None)
        self.accuracy = as_numbers(accuracy, "accuracy", ndim=None)
        self.threat = as_threat(threat)
        self.n_samples = n_samples
        self.estimator_name = estimator_name
        self.loss = loss
        self.certified = None if certified is None else as_numbers(certified, "certified")
        self._check()
        if self.certified is not None:
            check_certified(self.certified, self.accuracy, loss)

    def _check(self) -> None:
        if self.eps.ndim != 1 or self.eps.shape != self.accuracy.shape:
            raise ValueError(
                "eps and accuracy must be two lists of the same length; found shapes "
                f"{self.eps.shape} and {self.accuracy.shape}. Pass one accuracy for each budget."
            )
        if not (np.isfinite(self.eps) & (self.eps >= 0)).all():
            raise ValueError(
                f"eps must be finite and at least 0; found {self.eps.tolist()}. Pass the budgets "
                "of the attack, 0 for none."
            )
        if self.loss is not None:
            if not np.isfinite(self.accuracy).all():
                raise ValueError(f"Losses must be finite; found {self.accuracy.tolist()}.")
        elif not ((self.accuracy >= 0) & (self.accuracy <= 1)).all():
            raise ValueError(
                f"accuracy must lie in [0, 1]; found {self.accuracy.tolist()}. Pass shares of the "
                "samples, not percentages or counts."
            )
        if self.n_samples is not None and not (
            isinstance(self.n_samples, Integral) and self.n_samples >= 1
        ):
            raise ValueError(
                f"n_samples must be a whole number of at least 1, or None; got {self.n_samples!r}. "
                "Pass the number of samples that each accuracy is a share of."
            )

    @classmethod
    def from_predictions(
        cls,
        eps: ArrayLike,
        accuracy: ArrayLike,
        *,
        threat: Threat,
        n_samples: int | None = None,
        name: str | None = None,
        loss: str | None = None,
        certified: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> RobustnessCurveDisplay:
        """Draw accuracies, or losses, that are known already.

        Parameters
        ----------
        eps : array-like of shape (n_budgets,)
            Budgets of the attack, in units of the threat; in any order.
        accuracy : array-like of shape (n_budgets,)
            Share of all samples that are classified correctly at each budget, in [0, 1]; with
            `loss`, the mean loss of a regressor.
        threat : ThreatModel, or the name of a norm
            What the attack could do: the norm that the budget bounds, and its units.
        n_samples : int, default=None
            How many samples each accuracy is a share of, for its interval; None draws none.
        name : str, default=None
            Name of the model in the legend.
        loss : str, default=None
            Loss of a regressor that the values are means of, without interval; None for accuracies.
        certified : array-like of shape (n_budgets,), default=None
            Share of all samples that provably hold within each budget, at most `accuracy`.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : RobustnessCurveDisplay
            The display, drawn.
        """
        display = cls(
            eps, accuracy, threat=threat, n_samples=n_samples, estimator_name=name, loss=loss,
            certified=certified,
        )  # fmt: skip
        return display.plot(ax=ax)

    @classmethod
    def from_report(
        cls,
        report: RobustnessReport | RegressionReport,
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> RobustnessCurveDisplay:
        """Draw what a report has found, and what it proves, without another attack.

        Parameters
        ----------
        report : RobustnessReport or RegressionReport
            What :func:`sklearn_iso.metrics.robustness_report` returned; with ``certify=True`` the
            band between proven and found is drawn.
        name : str, default=None
            Name of the model in the legend; the class name of the estimator if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : RobustnessCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If report is no report of robustness.
        """
        if not isinstance(report, RobustnessReport | RegressionReport):
            raise TypeError(
                "report must be what robustness_report returned; got "
                f"{type(report).__name__}. For an estimator call from_estimator."
            )
        n = report.n_samples if report.n_effective is None else report.n_effective
        proven = None if isinstance(report, RegressionReport) else report.proven
        return cls.from_predictions(
            report.eps,
            report.error if isinstance(report, RegressionReport) else report.accuracy,
            threat=report.threat,
            n_samples=round(n),
            name=report.estimator_name if name is None else name,
            loss=report.loss if isinstance(report, RegressionReport) else None,
            certified=None if proven is None else proven.accuracy,
            ax=ax,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Classifier,
        X: ArrayLike,
        y: ArrayLike,
        *,
        eps: ArrayLike,
        threat: Threat = "linf",
        attack: AttackLike = "auto",
        loss: LossLike | None = None,
        random_state: RandomState = 0,
        sample_weight: ArrayLike | None = None,
        certify: bool = False,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> RobustnessCurveDisplay:
        """Attack a fitted classifier at each budget and draw what is left of its accuracy.

        Parameters
        ----------
        estimator : classifier
            A fitted classifier, regressor or Pipeline.
        X : array-like of shape (n_samples, n_features)
            Samples to attack.
        y : array-like of shape (n_samples,)
            Their labels, or targets.
        eps : array-like of shape (n_budgets,)
            Budgets, in units of the threat. A budget of 0 gives the clean accuracy.
        threat : ThreatModel, or the name of a norm, default="linf"
            What an attack may do, see :class:`sklearn_iso.ThreatModel`.
        attack : str, Attack or callable, default="auto"
            "auto" is the evaluation of :func:`sklearn_iso.metrics.adversarial_accuracy`. An attack
            of :mod:`sklearn_iso.attacks`, its name ("pgd"), or a callable
            ``(logits, X, y, *, eps, threat)`` runs alone.
        loss : {"absolute_error", "squared_error"} or callable, optional
            Loss of a regressor. None is "absolute_error", and all that a classifier takes.
        random_state : int, RandomState instance or None, default=0
            Seed of the attacks.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. The band is that of as many samples of equal weight as tell as
            much (Kish).
        certify : bool, default=False
            Draw the certified accuracy too, for classifiers that
            :func:`sklearn_iso.metrics.certified_accuracy` takes.
        name : str, default=None
            Name of the model in the legend; the class name of the estimator if None, of a Pipeline
            that of its last step.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : RobustnessCurveDisplay
            The display, drawn.
        """
        check_parameters(cls, name=name, certify=certify)
        budgets = as_numbers(eps, "eps")
        certified = None
        if certify:
            certified = [
                certified_accuracy(
                    estimator, X, y, eps=one, threat=threat, sample_weight=sample_weight
                )
                for one in budgets.tolist()
            ]
        accuracy = robustness_curve(
            estimator,
            X,
            y,
            eps=budgets,
            threat=threat,
            attack=attack,
            loss=loss,
            random_state=random_state,
            sample_weight=sample_weight,
        )
        of_numbers = is_regressor(estimator)
        weight = None if sample_weight is None else check_weights(sample_weight, X)
        return cls.from_predictions(
            budgets,
            accuracy,
            threat=threat,
            n_samples=round(effective_number(weight, len(np.asarray(y)))),
            name=class_name(estimator) if name is None else name,
            loss=SampleLoss(loss or "absolute_error").name if of_numbers else None,
            certified=certified,
            ax=ax,
        )

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> RobustnessCurveDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        name : str, default=None
            Name of the model in the legend; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : RobustnessCurveDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        style = {"label": self.estimator_name if name is None else name, "markersize": 5}
        order = np.argsort(self.eps, kind="stable")
        eps = self.eps[order]
        (self.line_,) = ax.plot(eps, self.accuracy[order], **{**style, **kwargs})
        self.band_ = None
        if self.n_samples is not None and self.loss is None:
            least = self.accuracy if self.certified is None else self.certified
            low = self._intervals(least, self.n_samples)[0, order]
            high = self._intervals(self.accuracy, self.n_samples)[1, order]
            faint = 0.18 if self.certified is None else 0.1
            self.band_ = ax.fill_between(
                eps, low, high, color=self.line_.get_color(), alpha=faint, linewidth=0
            )
        self.proven_ = None
        if self.certified is not None:
            self.proven_ = draw_proven(
                ax, eps, self.certified[order], self.accuracy[order], self.line_.get_color()
            )
        label_budgets(ax, self.threat, self.loss, proven=self.certified is not None)
        self.ax_, self.figure_ = ax, figure_of(ax)
        return self

    @staticmethod
    def _intervals(shares: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
        tests = [binomtest(round(share * n_samples), n_samples) for share in shares.tolist()]
        return np.array([test.proportion_ci(0.95, method="wilson") for test in tests]).T
