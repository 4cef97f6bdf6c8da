"""The layer types of Keras: one row each, class -> how its node is made.

A row's function gets a `Layer` and says which operator it is, with which attributes and parameters. Defaults are those
of Keras' constructors; what they refuse is refused here.
"""

from __future__ import annotations

from . import activations, sliding
from .activations import activation
from .layer import Layer, Made, Row, Weight, plain, unread, weighted
from .sequences import LAYERS as SEQUENCES
from .sequences import wrapped
from .view import View

# -- fully connected, normalizations ----------------------------------------------------------------------------------


def _dense(layer: Layer) -> Made:
    """The last axis is multiplied, whatever stands before it (core/dense.py)."""
    attrs = {"axis": -1, "transB": 0, "channels": layer.config.integer("units", low=1)}
    return Made("Gemm", attrs, weighted(layer, "kernel"), "", activation(layer))


def _batch_normalization(layer: Layer) -> Made:
    """Over any one axis, with its moving statistics."""
    axes = layer.config.integers("axis", (-1,))
    if len(axes) != 1:
        return unread(f"BatchNormalization over the axes {list(axes)} has no rule yet")
    gamma, beta = _gamma_beta(layer)
    statistics = (Weight("moving_mean", False), Weight("moving_variance", False))
    attrs = {"axis": axes[0], "epsilon": layer.config.number("epsilon", 1e-3)}
    return Made("BatchNormalization", attrs, (gamma, beta, *statistics))


def _gamma_beta(layer: Layer) -> tuple[Weight | None, Weight | None]:
    scale, center = layer.config.flag("scale", True), layer.config.flag("center", True)
    return (Weight("gamma") if scale else None), (Weight("beta") if center else None)


def _layer_normalization(layer: Layer) -> Made:
    """Over axes side by side, the last ones in ONNX."""
    axes = layer.config.integers("axis", (-1,))
    if len(axes) != len(set(axes)) or not axes or max(axes) - min(axes) != len(axes) - 1:
        raise layer.refuse(f"axis {list(axes)} names no axes that lie side by side")
    attrs = {"axis": min(axes), "count": len(axes), "epsilon": layer.config.number("epsilon", 1e-3)}
    return Made("LayerNormalization", attrs, _gamma_beta(layer))


def _group_normalization(layer: Layer) -> Made:
    """Of channels, first or last."""
    axis = layer.config.integer("axis", -1)
    if axis not in (-1, 1):
        return unread(f"GroupNormalization over axis {axis} has no rule yet")
    attrs = {"num_groups": layer.config.integer("groups", 32), "epsilon": layer.config.number("epsilon", 1e-3)}
    if attrs["num_groups"] < 1 and attrs["num_groups"] != -1:
        raise layer.refuse(f"{attrs['num_groups']} groups")
    return Made("GroupNormalization", attrs, _gamma_beta(layer), layout="NHWC" if axis == -1 else "NCHW")


def _unit_normalization(layer: Layer) -> Made:
    """x / √Σx²."""
    return Made("UnitNormalization", {"axes": layer.config.integers("axis", (-1,))}, domain="keras")


# -- places: padding, cropping, resizing -------------------------------------------------------------------------------


def _pairs(config: View, name: str, rank: int) -> list[tuple[int, int]]:
    """(begin, end) an axis from one number, one number an axis, or a pair an axis."""
    value = config.find(name)
    items = value.items() if value is not None else []
    if value is not None and rank == 1 and len(items) == 2 and not items[0].items():
        begin, end = config.sizes(name, 2, low=0)
        return [(begin, end)]
    if len(items) == rank and any(item.items() for item in items):
        rows = [View(config.document, item, config.owner) for item in items]
        return [_pair(row, name) for row in rows]
    return [(n, n) for n in config.sizes(name, rank, 1, low=0)]


def _pair(row: View, name: str) -> tuple[int, int]:
    numbers = [item.data for item in row.value.items()] or [row.value.data] * 2
    if len(numbers) != 2 or not all(type(n) is int and 0 <= n < 1 << 31 for n in numbers):
        raise row.refuse(f"{name} holds {row.value.plain()!r}, which is no pair of sizes")
    return numbers[0], numbers[1]


def _pad(setting: str, rank: int, sign: int) -> Row:
    """Amounts of every axis, as the layer's layout has them; a crop takes away."""

    def make(layer: Layer) -> Made:
        layout = layer.layout or "NHWC"
        pairs = [(sign * begin, sign * end) for begin, end in _pairs(layer.config, setting, rank)]
        nothing = [(0, 0)]
        whole = nothing + pairs + nothing if layout == "NHWC" else nothing + nothing + pairs
        return Made("Pad", {"pads": (*(p[0] for p in whole), *(p[1] for p in whole))}, layout=layout)

    return make


def _upsampling(rank: int) -> Row:
    """nearest, bilinear, bicubic."""

    def make(layer: Layer) -> Made:
        attrs = {"size": layer.config.sizes("size", rank, 2), "mode": layer.config.text("interpolation", "nearest")}
        return Made("UpSampling", attrs, domain="keras", layout=layer.layout or "NHWC")

    return make


def _sized(op: str) -> Row:
    """To a height and width; antialias and kept aspect ratios have no ONNX form."""

    def make(layer: Layer) -> Made:
        config = layer.config
        simple = not any(config.flag(n, False) for n in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"))
        attrs = {
            "size": (config.integer("height", low=1), config.integer("width", low=1)),
            "mode": config.text("interpolation", "bilinear"),
            "exact": simple and layer.kind in ("Resizing", "CenterCrop"),
        }
        return Made(op, attrs, domain="keras", layout=layer.layout or "NHWC")

    return make


# -- shapes -----------------------------------------------------------------------------------------------------------


def _flatten(layer: Layer) -> Made:
    """Channels are flattened last, wherever they stand (reshaping/flatten.py)."""
    return Made("Flatten", {"axis": 1} | ({"order": "HWC"} if layer.layout == "NCHW" else {}), layout=layer.layout)


def _reshape(layer: Layer) -> Made:
    """The batch is kept."""
    target = layer.config.integers("target_shape", low=-1)
    if target.count(-1) > 1 or 0 in target or not layer.config.has("target_shape"):
        raise layer.refuse(f"target_shape {list(target)}: sizes from 1 on, at most one of them -1")
    return Made("Reshape", {"shape": (0, *target)})


def _permute(layer: Layer) -> Made:
    """The axes behind the batch."""
    order = layer.config.integers("dims")
    if sorted(order) != list(range(1, len(order) + 1)):
        raise layer.refuse(f"dims {list(order)} is no order of the axes from 1 on")
    return Made("Transpose", {"perm": (0, *order)})


# -- several inputs ---------------------------------------------------------------------------------------------------


def _joined(op: str) -> Row:
    """Of other ranks: axes of 1 behind the batch (merging/base_merge.py)."""
    return lambda layer: Made(op, {"batch_first": 1}, takes=None)


def _concatenate(layer: Layer) -> Made:
    """Over any axis."""
    return Made("Concat", {"axis": layer.config.integer("axis", -1)}, takes=None)


# -- preprocessing ----------------------------------------------------------------------------------------------------


def _rescaling(layer: Layer) -> Made:
    """scale·x + offset; lists of them are for the channels (preprocessing/rescaling.py)."""
    scale = layer.config.numbers("scale") or (1.0,)
    offset = layer.config.numbers("offset") or (0.0,)
    if len(scale) == len(offset) == 1:
        return Made("Power", {"scale": scale[0], "shift": offset[0]})
    count = max(len(scale), len(offset))
    if {len(scale), len(offset)} - {1, count}:
        raise layer.refuse(f"{len(scale)} scales and {len(offset)} offsets")
    weights = [_constant("scale", scale, count), _constant("offset", offset, count)]
    return Made("Scale", {"axis": -1, "num_axes": 1}, tuple(weights))


def _constant(name: str, numbers: tuple[float, ...], count: int) -> Weight:
    return Weight(name, False, numbers if len(numbers) == count else numbers * count, (count,))


def _normalization(layer: Layer) -> Made:
    """Means and variances from the definition or from its weights."""
    axes = layer.config.integers("axis", (-1,)) if "axis" not in _nulls(layer) else ()
    attrs = {"axes": axes, "invert": layer.config.flag("invert", False)}
    mean, variance = layer.config.numbers("mean"), layer.config.numbers("variance")
    if mean is None or variance is None:
        adapted = (Weight("mean", False), Weight("variance", False), Weight("count", False))
        return Made("Standardize", attrs, adapted[:2], "keras")
    if len(mean) != len(variance) or not mean:
        raise layer.refuse(f"{len(mean)} means and {len(variance)} variances")
    shape = () if len(mean) == 1 else (len(mean),)
    given = (Weight("mean", False, mean, shape), Weight("variance", False, variance, shape))
    return Made("Standardize", attrs, given, "keras")


def _nulls(layer: Layer) -> set[str]:
    return {key for key, value in layer.config.value.data.items() if value.data is None}


def _layer_scale(layer: Layer) -> Made:
    """A factor a channel (applications/convnext.py)."""
    if not layer.config.has("projection_dim"):
        return unread(f"{layer.kind} is no layer of Keras itself, and code is not run")
    return Made("Scale", {"axis": -1, "num_axes": 1}, (Weight("gamma"),))


def _scaled_sum(layer: Layer) -> Made:
    """x + scale·y (applications/inception_resnet_v2.py)."""
    if not layer.config.has("scale"):
        return unread(f"{layer.kind} is no layer of Keras itself, and code is not run")
    return Made("ScaledAdd", {"scale": layer.config.number("scale", 1.0)}, domain="keras", takes=2)


def _dropout(layer: Layer) -> Made:
    """Nothing outside training."""
    return Made("Dropout", {"ratio": layer.config.number("rate", 0.5), "phase": "TEST"})


#: What acts on the last axis, or on each element, does so at every step alike.
STEPWISE = frozenset({"Dense", "Dropout", *activations.LAYERS} - {"PReLU", "Softmax"})


def distributed(layer: Layer) -> Layer | None:
    """The layer inside a TimeDistributed whose steps are to become rows of the batch; None for any other layer."""
    inner = wrapped(layer) if layer.kind == "TimeDistributed" and _is_kerass(layer) else None
    return inner if inner is not None and inner.kind not in STEPWISE else None


def filed_inside(made: Made) -> Made:
    """A layer's weights as those of one that a wrapper holds."""
    places = [w if w is None else w._replace(at=f"layer/{w.at}".rstrip("/")) for w in made.weights]
    return made._replace(weights=tuple(places))


def _time_distributed(layer: Layer) -> Made:
    """Around any layer or model: steps become rows of the batch, unless it acts on the last axis or on each element."""
    inner = wrapped(layer)
    return filed_inside(LAYERS[inner.kind](inner))


def _lambda(layer: Layer) -> Made:
    """Unknown, with the reason."""
    return unread("a Lambda is Python code, which is not run")


LAYERS: dict[str, Row] = {
    **activations.LAYERS,
    **sliding.LAYERS,
    **SEQUENCES,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "BatchNormalizationV1": _batch_normalization,
    "BatchNormalizationV2": _batch_normalization,
    "SyncBatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "UnitNormalization": _unit_normalization,
    **{f"ZeroPadding{rank}D": _pad("padding", rank, 1) for rank in (1, 2, 3)},
    **{f"Cropping{rank}D": _pad("cropping", rank, -1) for rank in (1, 2, 3)},
    **{f"UpSampling{rank}D": _upsampling(rank) for rank in (1, 2, 3)},
    "Resizing": _sized("Resizing"),
    "CenterCrop": _sized("CenterCrop"),
    "RandomCrop": _sized("Resizing"),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "Concatenate": _concatenate,
    "Add": _joined("Add"),
    "Subtract": _joined("Sub"),
    "Multiply": _joined("Mul"),
    "Average": _joined("Mean"),
    "Maximum": _joined("Max"),
    "Minimum": _joined("Min"),
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    **dict.fromkeys(["Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"], _dropout),
    **dict.fromkeys(["GaussianNoise", "GaussianDropout", "ActivityRegularization", "Identity"], plain("Identity")),
    "Masking": plain("Function", "keras"),
    "Lambda": _lambda,
    "TimeDistributed": _time_distributed,
    "LayerScale": _layer_scale,
    "CustomScaleLayer": _scaled_sum,
    "Custom>CustomScaleLayer": _scaled_sum,
    "StochasticDepth": plain("Identity"),
}

#: Augmentations: nothing is done to an image outside training.
AUGMENTATIONS = (
    "RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomErasing RandomFlip "
    "RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation "
    "RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom RandomHeight RandomWidth AutoContrast "
    "MixUp CutMix AugMix RandAugment"
).split()
LAYERS |= dict.fromkeys(AUGMENTATIONS, plain("Identity"))


def make(layer: Layer) -> Made:
    """The node to be of any layer; what is not Keras' own is code, which is not run."""
    row = LAYERS.get(layer.kind)
    if row is not None and _is_kerass(layer):
        return row(layer)
    if _is_kerass(layer) and layer.module:
        return unread(f"{layer.kind} has no rule yet")
    return unread(f"{layer.kind} is no layer of Keras itself, and code is not run")


def _is_kerass(layer: Layer) -> bool:
    """Whether the class is one of Keras': its module says so, older files say nothing."""
    module = layer.module
    return not module or module.split(".")[0] in ("keras", "tf_keras") or module.startswith("tensorflow.")
