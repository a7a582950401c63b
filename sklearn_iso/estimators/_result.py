"""What a fit finds out, which its estimator keeps."""

from __future__ import annotations

from types import SimpleNamespace

from sklearn_iso._training import PenalizedNet, history_columns
from sklearn_iso.penalties import Penalty


class FitResult(SimpleNamespace):
    """Fitted attributes by their names, as far as the fit has come.

    A learner fills it, and the estimator alone takes it over: also after an interrupt, so that
    what was fitted so far is usable.

    Parameters
    ----------
    **found
        Of an earlier fit that this one goes on from.
    """

    net_: PenalizedNet
    penalty_: Penalty

    def take_history(self, data_term: str = "classification_loss") -> None:
        """Take the columns of the history of the net."""
        self.history_ = history_columns(self.net_, data_term)
        self.loss_curve_ = list(self.history_.get("loss", []))
        self.n_iter_ = len(self.loss_curve_)


def found_before(estimator: object, *names: str) -> FitResult:
    """Return those attributes that an earlier fit of an estimator has left, if there was one."""
    known = vars(estimator)
    return FitResult(**{name: known[name] for name in names if name in known})
