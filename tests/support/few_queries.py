"""Options of an evaluation of few queries, as they are for a distance."""

from sklearn_iso.attacks import MinimumNormEnsemble


def for_distance(options):
    """Return the options with the attack of `adversarial_distance` that asks as often."""
    return {**options, "attack": MinimumNormEnsemble(n_queries=options["attack"].n_queries)}
