"""The network in operators of ONNX, and files that run without this package.

`swinir.py`, `families.py`, `layers.py`, `swin2.py`, `windows.py` and `reconstruction.py` follow the modules of
`swinir_jax.models` with the same names.
"""
