"""What a public call may do where one of its parameters is anything at all."""

import warnings

import anything
import matplotlib.pyplot as plt
import numpy as np
import public_calls as public

from sklearn_iso.testing import LawBrokenError
from sklearn_iso.twins import NotDifferentiableError

#: What functions say of data or of a model, not of a parameter.
FINDINGS = (LawBrokenError, NotDifferentiableError)


def assert_valid_or_refused(name, parameter, value):
    """Require that a call works without NaN, or refuses a value of a parameter as it should."""
    call = public.CALLS[name]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call.function(**call.usual | {parameter: value})
    except FINDINGS:
        return
    except Exception as error:
        names = [parameter, *public.ALSO.get(parameter, [])]
        anything.refuse(error, names, value, is_data=parameter in public.DATA)
        return
    finally:
        plt.close("all")
    if isinstance(found, float | np.ndarray) and np.asarray(found).dtype.kind == "f":
        assert not np.isnan(found).any()
