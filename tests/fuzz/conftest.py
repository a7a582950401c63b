import pytest


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Whatever is drawn as a path is one in a folder of its own."""
    monkeypatch.chdir(tmp_path)
