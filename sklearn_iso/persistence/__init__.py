"""Models on disk: files, ONNX and cards."""

__all__: list[str] = []
