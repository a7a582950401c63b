"""The version of the package, kept where the build can read it without an import."""

__version__ = "0.2.0"
