"""What onnxruntime refuses of right-looking graphs: each row is predicted in these words, and refused when it is run.

Then small graphs of many operators, right and slightly wrong, drawn by `tools.ask_nodes`: no shape is wrong and nothing
is refused that runs.
"""

from __future__ import annotations

import re
from typing import Any

import numpy
import onnx
import onnx.helper
import onnx.parser
import pytest
from tools import ask_nodes

import shapecalc
from shapecalc.trace import trace

#: (opset, inputs, nodes, the message; "" where it runs).
ROWS = [
    (19, "float[1,2,4,4] x", "s = Constant <value_floats=[1.,1.,2.,2.]> ()\n y = Resize <mode='linear'> (x, , s)", ""),
    (19, "float[1,2,4,4] x", "s = Constant <value_floats=[1.,2.,2.,2.]> ()\n y = Resize <mode='linear'> (x, , s)",
     "Resize_1: onnxruntime does not resize linear by 1×2×2×2"),
    (19, "float[2,4,4] x", "s = Constant <value_floats=[1.,2.,2.]> ()\n y = Resize <mode='cubic'> (x, , s)",
     "Resize_1: onnxruntime does not resize cubic by 1×2×2"),
    (19, "float[1,2,4,4] x", "s = Constant <value_floats=[1.,1.,0.,2.]> ()\n y = Resize (x, , s)",
     "Resize_1: onnxruntime does not resize factors 1×1×0×2"),
    (19, "float[1,2,4,4] x", "s = Constant <value_floats=[1.,1.,2.,2.]> ()\n y = Resize <antialias=1> (x, , s)",
     "Resize_1: onnxruntime does not resize antialias with mode nearest"),
    (19, "float[1,2,4,4] x", "y = Resize (x)", "Resize_0 takes sizes or scales, neither is there"),
    (18, "float[1,1,4,4] x", "p = Constant <value_ints=[0,0,3,3,0,0,3,3]> ()\n y = Pad <mode='reflect'> (x, p)", ""),
    (18, "float[1,1,4,3] x", "p = Constant <value_ints=[0,0,3,3,0,0,3,3]> ()\n y = Pad <mode='reflect'> (x, p)",
     "Pad_1 pads 3 by reflect along axis 3, where x gives 3"),
    (18, "float[1,1,4,0] x", "p = Constant <value_ints=[0,0,0,1,0,0,0,0]> ()\n y = Pad <mode='edge'> (x, p)",
     "Pad_1 pads 1 by edge along axis 3, where x gives 0"),
    (17, "float[1,128,1] x", "s = Constant <value_int=8> ()\n f = Constant <value_int=16> ()\n y = STFT (x, s, , f)",
     ""),
    (17, "float[1,12,1] x", "s = Constant <value_int=8> ()\n f = Constant <value_int=16> ()\n y = STFT (x, s, , f)",
     "STFT_2 takes frames of 16, x gives a signal of 12"),
    (19, "float[1,10,10,1] x", "y = DFT <axis=1, onesided=1> (x)", ""),
    (19, "float[1,10,10,2] x", "y = DFT <axis=1, onesided=1> (x)", "DFT_0 takes 1 numbers a place, x gives 2"),
    (19, "float[1,10,10,1] x", "y = DFT <axis=3> (x)", "DFT_0 is along axis 3 of 4"),
    (14, "float[5,1,3] x, float[1,16,3] w, float[1,16,4] r, float[1,1,4] h",
     "y = LSTM <hidden_size=4> (x, w, r, , , h)", ""),
    (14, "float[5,1,3] x, float[1,16,3] w, float[1,16,4] r, float[1,2,4] h",
     "y = LSTM <hidden_size=4> (x, w, r, , , h)", "LSTM_0 takes a state of 1×1×4, h gives 1×2×4"),
    (14, "float[5,1,3] x, float[1,16,3] w, float[1,16,2] r", "y = LSTM <hidden_size=4> (x, w, r)",
     "LSTM_0 takes recurrent weights of 1×16×4, r gives 1×16×2"),
    (14, "float[5,1,3] x, float[1,12,3] w, float[1,12,4] r", "y = GRU (x, w, r)",
     "GRU_0 says no hidden_size, which onnxruntime does not do without"),
    (14, "float[5,1,3] x, float[1,4,3] w, float[1,4,4] r", "y = RNN <hidden_size=4, layout=1> (x, w, r)",
     "RNN_0: onnxruntime computes no layout 1 on the CPU"),
    (13, "float[5,4] x", "y, z = Split <axis=0> (x)", "Split_0: 5 does not divide into 2 parts"),
    (18, "float[1,4] x", "y, z = Split <axis=0, num_outputs=2> (x)", "Split_0 splits 1 into 2 parts"),
    (13, "float[2,3] x, float[3,4] w, float[2] b", "y = Gemm (x, w, b)", "Gemm_0 adds 2 to 2×4"),
    (18, "float[4,4] x, int64[2,1] i, float[3,4] u", "y = ScatterND (x, i, u)",
     "ScatterND_0 puts 2×4 into 4×4, u gives 3×4"),
    (16, "float[1,2,4,4] x, float[1,4,4,3] g", "y = GridSample (x, g)",
     "GridSample_0 takes N×h×w×2 as input 1, g gives 1×4×4×3"),
    (16, "float[1,2,4,4] x, float[2,4,4,2] g", "y = GridSample (x, g)",
     "GridSample_0: 1×2×4×4 from x and 2×4×4×2 from g do not go together"),
    (13, "float[4,4] x", "y = ArgMax <axis=2> (x)", "ArgMax_0 is along axis 2 of the 2 that x gives"),
    (7, "float[2,3,4] x, float[3,4] s", "y = BatchNormalization <spatial=0> (x, s, s, s, s)", ""),
    (7, "float[2,3,4] x, float[3,4] s, float[3] v", "y = BatchNormalization <spatial=0> (x, s, s, s, v)",
     "BatchNormalization_0: 2×3×4 from x and 3 from v do not go together"),
    (13, "float[2] x, float[1] r", "y = Dropout (x, r)", "Dropout_0 takes a scalar as input 1, r gives 1"),
    (13, "uint8[4] x", "y = Relu (x)", "Relu_0: Relu of opset 13 takes no uint8, which x gives"),
    (13, "uint16[4] x", "y = Sum (x, x)", "Sum_0: Sum of opset 13 takes no uint16, which x gives"),
    (13, "int16[4] x", "p = Constant <value_ints=[1,1]> ()\n y = Pad (x, p)",
     "Pad_1: onnxruntime does not compute Pad of opset 13 of int16 on the CPU, which x gives"),
    (22, "float[4] x", "y = RandomNormalLike (x)",
     "RandomNormalLike_0: onnxruntime does not compute RandomNormalLike of opset 22 on the CPU"),
    (13, "float[4] x", "y = Concat (x, x)",
     "Concat_0 has no attribute axis, which Concat of opset 13 does not do without"),
    (13, "float[4] x", "y = Add (x)", "Add_0 has 1 input, Add of opset 13 takes 2 or more"),
    (13, "float[4] x, bool[4] c", "y = Where (c, , x)",
     "Where_0 has no input 1, which Where of opset 13 does not do without"),
    (13, "float[4] x", "k = Constant <value_ints=[2]> ()\n y = TopK (x, k)",
     "TopK_1 gives 1 value, TopK of opset 13 gives 2, used or not"),
    (13, "float[2,4] x, int64[4] b", "y = com.microsoft.BiasGelu (x, b)",
     "BiasGelu_0: BiasGelu takes no int64, which b gives"),
    (13, "float[2,4] x, float16[4] b", "y = com.microsoft.BiasGelu (x, b)",
     "BiasGelu_0 takes one element type, x gives float32 and b float16"),
    (13, "float[2,4] x, float[3] b", "y = com.microsoft.BiasGelu (x, b)",
     "BiasGelu_0: 2×4 from x and 3 from b do not go together"),
    (13, "double[2,4] x", "y = com.microsoft.QuickGelu (x)", ""),
    (13, "float[2,4] x, float[4,4] w", "y = com.microsoft.Attention (x, w)",
     "Attention_0 has no attribute num_heads, which Attention does not do without"),
    (13, "bool[2,4] x", "y = ai.onnx.ml.Normalizer (x)",
     "Normalizer_0: Normalizer of opset 3 takes no bool, which x gives"),
]  # fmt: skip


def model(opset: int, inputs: str, nodes: str) -> onnx.ModelProto:
    made = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1, "ai.onnx.ml" : 3]>\n'
        f"g ({inputs}) => (float y) {{ {nodes.replace(chr(39), chr(34))} }}"
    )
    made.graph.output[0].ClearField("type")
    return made


def shapes(inputs: str) -> dict[str, tuple[int, ...]]:
    """The shapes that the text of the inputs says."""
    found = re.findall(r"\[([\d,]*)\] (\w+)", inputs)
    return {name: tuple(int(size) for size in sizes.split(",")) for sizes, name in found}


def fed(made: onnx.ModelProto) -> dict[str, Any]:
    feeds = {}
    for given in made.graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        feeds[given.name] = numpy.zeros([axis.dim_value for axis in given.type.tensor_type.shape.dim], kind)
    return feeds


@pytest.mark.parametrize(("opset", "inputs", "nodes", "message"), ROWS)
def test_what_onnxruntime_refuses_is_said(opset: int, inputs: str, nodes: str, message: str) -> None:
    found = trace(shapecalc.load(model(opset, inputs, nodes)).graph, shapes(inputs)).problems
    assert [problem.message for problem in found] == ([message] if message else [])


@pytest.mark.parametrize(("opset", "inputs", "nodes", "message"), ROWS)
def test_onnxruntime_refuses_it(opset: int, inputs: str, nodes: str, message: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    made = model(opset, inputs, nodes)
    words = ""
    try:
        session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, fed(made))
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        words = str(error)
    assert bool(words) is bool(message), words


# -- an empty tensor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "expected"), [(2, (1, 0)), (-1, (1, 0, 4)), (1, (1, 4)), (-2, (1, 0, 4))])
def test_onnxruntime_reduces_nothing_of_an_empty_tensor_from_its_end(axis: int, expected: tuple[int, ...]) -> None:
    """Its specification does; torch's chunk().sum(-1) met it, where a chunk is empty."""
    made = model(13, "float[1,0,4] x", f"a = Constant <value_ints=[{axis}]> ()\n y = ReduceSum <keepdims=0> (x, a)")
    graph = shapecalc.load(made).graph
    assert trace(graph, {"x": (1, 0, 4)}).tensors["y"].shape == expected
    assert trace(graph, {"x": (1, 0, 4)}, dialect="onnx").tensors["y"].shape == ((1, 0) if axis in (2, -1) else (1, 4))
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, fed(made))[0].shape == expected


# -- drawn ------------------------------------------------------------------------------------------------------------

OPERATORS = set(
    "Resize Pad DFT STFT LSTM GRU RNN Split Gemm ScatterND GridSample ReduceSum ReduceMax ArgMax Relu Add Where Clip "
    "BatchNormalization InstanceNormalization RMSNormalization TopK If Loop Dropout PRelu NonMaxSuppression Concat "
    "com.microsoft:BiasGelu com.microsoft:Attention com.microsoft:QuickGelu com.microsoft:FusedConv".split()
)


def test_drawn_graphs_have_the_shapes_that_come_out_and_no_false_alarm() -> None:
    pytest.importorskip("onnxruntime")
    drawn = list(ask_nodes.questions(7, 3, OPERATORS))
    rows = list(ask_nodes.answers([ask_nodes.finished(row, bool(at % 2)) for at, row in enumerate(drawn)]))
    assert len(rows) > 700
    assert [row for row in rows if row.verdict in ("wrong", "false alarm", "crash")] == []
    refused = [row for row in rows if row.verdict == "refused"]
    missed = [row for row in rows if row.verdict == "missed"]
    assert len(missed) < len(refused) / 3


def test_the_drawn_test_can_fail() -> None:
    pytest.importorskip("onnxruntime")
    (row, *_) = ask_nodes.questions(0, 0, {"Relu"})
    asked = ask_nodes.finished(row, constants=False)
    values, _ = ask_nodes.ran(asked)
    assert values is not None
    found = ask_nodes.traced(asked, "onnxruntime")
    assert ask_nodes.judged(found, values) == ("equal", "")
    assert ask_nodes.judged(found, {name: value[:1] for name, value in values.items()})[0] == "wrong"
