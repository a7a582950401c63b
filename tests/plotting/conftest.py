import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    plt.close("all")  # of tests in other folders, which ran before on the same worker
    yield
    plt.close("all")
