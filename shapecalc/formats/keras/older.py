"""Settings as Keras 1 called them, under the names they have had since (keras/legacy/interfaces.py of Keras 2)."""

from __future__ import annotations

from .text import Value

#: Keras 1 -> since.
SETTINGS = {
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample": "strides",
    "subsample_length": "strides",
    "stride": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "length": "size",
    "bias": "use_bias",
    "output_dim": "units",
    "p": "rate",
    "concat_axis": "axis",
}
#: Sizes that were settings of their own, one an axis.
KERNELS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
ORDERINGS = {"tf": "channels_last", "th": "channels_first"}
KINDS = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
}
#: What Merge did, by its ``mode``.
MERGES = {"sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum"}


def kind_of(kind: str, config: Value) -> str:
    """The class as it is called since."""
    mode = config.get("mode")
    if kind == "Merge" and mode is not None and isinstance(mode.data, str):
        return MERGES.get(mode.data, kind)
    return KINDS.get(kind, kind)


def settings_of(kind: str, config: Value) -> Value:
    """The settings under their newer names; those that have them already stay."""
    settings = dict(config.data)
    for old, new in SETTINGS.items():
        if old in settings and new not in settings and not (kind == "Embedding" and old == "output_dim"):
            settings[new] = _since(old, settings[old])
    for names in KERNELS:
        if "kernel_size" not in settings and all(name in settings for name in names):
            settings["kernel_size"] = Value([settings[name] for name in names], settings[names[0]].span)
    return Value(settings, config.span)


def _since(name: str, value: Value) -> Value:
    if name == "dim_ordering" and isinstance(value.data, str):
        return Value(ORDERINGS.get(value.data, value.data), value.span)
    return value
