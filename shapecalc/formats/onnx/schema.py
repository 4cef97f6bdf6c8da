"""The messages of ONNX as tables of field numbers. Facts of onnx.proto (IR version 13), no code.

A table holds the fields that are read; what it leaves out is skipped by a reader and kept by a patch.
"""

from __future__ import annotations

from .wire import BYTES, FIXED32, VARINT, Kind


def _int(name: str) -> Kind:
    return Kind(name, (VARINT,), "int")


def _text(name: str, repeated: bool = False) -> Kind:
    return Kind(name, (BYTES,), "text", repeated)


def _span(name: str, repeated: bool = False) -> Kind:
    return Kind(name, (BYTES,), "span", repeated)


def _ints(name: str) -> Kind:
    return Kind(name, (VARINT, BYTES), "ints", True)


MODEL = {
    1: _int("ir_version"),
    2: _text("producer_name"),
    3: _text("producer_version"),
    4: _text("domain"),
    5: _int("model_version"),
    6: _text("doc_string"),
    7: _span("graph", True),
    8: _span("opset_import", True),
    14: _span("metadata_props", True),
    20: _span("training_info", True),
    25: _span("functions", True),
}
GRAPH = {
    1: _span("node", True),
    2: _text("name"),
    5: _span("initializer", True),
    10: _text("doc_string"),
    11: _span("input", True),
    12: _span("output", True),
    13: _span("value_info", True),
    15: _span("sparse_initializer", True),
}
NODE = {
    1: _text("input", True),
    2: _text("output", True),
    3: _text("name"),
    4: _text("op_type"),
    5: _span("attribute", True),
    7: _text("domain"),
}
ATTRIBUTE = {
    1: _text("name"),
    2: Kind("f", (FIXED32,), "float"),
    3: _int("i"),
    4: _span("s"),
    5: _span("t"),
    6: _span("g"),
    7: Kind("floats", (FIXED32, BYTES), "floats", True),
    8: _ints("ints"),
    9: _span("strings", True),
    10: _span("tensors", True),
    11: _span("graphs", True),
    14: _span("tp"),
    15: _span("type_protos", True),
    20: _int("type"),
    21: _text("ref_attr_name"),
    22: _span("sparse_tensor"),
    23: _span("sparse_tensors", True),
}
#: AttributeProto.type -> the field that holds the value.
ATTRIBUTE_TYPES = {
    1: "f",
    2: "i",
    3: "s",
    4: "t",
    5: "g",
    6: "floats",
    7: "ints",
    8: "strings",
    9: "tensors",
    10: "graphs",
    11: "sparse_tensor",
    12: "sparse_tensors",
    13: "tp",
    14: "type_protos",
}
TENSOR = {
    1: _ints("dims"),
    2: _int("data_type"),
    4: Kind("float_data", (FIXED32, BYTES), "field", True),
    5: Kind("int32_data", (VARINT, BYTES), "field", True),
    7: Kind("int64_data", (VARINT, BYTES), "field", True),
    8: _text("name"),
    9: _span("raw_data"),
    10: Kind("double_data", (1, BYTES), "field", True),
    11: Kind("uint64_data", (VARINT, BYTES), "field", True),
    13: _span("external_data", True),
    14: _int("data_location"),
}
SPARSE_TENSOR = {1: _span("values"), 2: _span("indices"), 3: _ints("dims")}
VALUE_INFO = {1: _text("name"), 2: _span("type")}
TYPE = {1: _span("tensor_type"), 4: _span("sequence_type"), 5: _span("map_type"), 9: _span("optional_type")}
ITEMS = {1: _span("elem_type")}  # of a sequence, of an optional value
TENSOR_TYPE = {1: _int("elem_type"), 2: _span("shape")}
SHAPE = {1: _span("dim", True)}
DIMENSION = {1: _int("dim_value"), 2: _text("dim_param")}
OPSET = {1: _text("domain"), 2: _int("version")}
ENTRY = {1: _text("key"), 2: _text("value")}
FUNCTION = {
    1: _text("name"),
    4: _text("input", True),
    5: _text("output", True),
    7: _span("node", True),
    9: _span("opset_import", True),
    10: _text("domain"),
    11: _span("attribute_proto", True),
    13: _text("overload"),
}

EXTERNAL = 1  # TensorProto.DataLocation


#: Attributes that hold an element type; a graph keeps them by name ("float32").
TYPE_ATTRIBUTES = frozenset(
    [(op, "dtype") for op in "Bernoulli EyeLike Multinomial RandomNormal RandomNormalLike SequenceEmpty".split()]
    + [(op, "dtype") for op in ("RandomUniform", "RandomUniformLike")]
    + [(op, "output_datatype") for op in ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix")]
    + [(op, "output_dtype") for op in ("DequantizeLinear", "QuantizeLinear")]
    + [(op, "to") for op in ("BitCast", "Cast")]
)

#: What a definition leaves out and the specification fills in, where a rule would ask the dialect instead.
DEFAULTS = {
    "MaxPool": {"ceil_mode": 0},
    "AveragePool": {"ceil_mode": 0},
    "LpPool": {"ceil_mode": 0},
}
