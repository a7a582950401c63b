"""The attacks of the list, run by name."""

from sklearn_iso.attacks import ATTACKS

ONLY_L2 = {"ddn"}


def run(name, logits, X, y, *, threat=None, random_state=0, eps=None, **parameters):
    """Run an attack with parameters of its own, in a norm that it takes where none is told."""
    if threat is None:
        threat = "l2" if name in ONLY_L2 else "linf"
    budget = {} if eps is None else {"eps": eps}
    attack = ATTACKS[name](**parameters)
    return attack(logits, X, y, **budget, threat=threat, random_state=random_state)
