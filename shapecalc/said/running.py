"""Error texts of what nets are run in: onnxruntime, TensorRT, OpenCV's dnn module."""

from __future__ import annotations

from functools import partial

from .row import CHANNELS, DECLARED, FAN_IN, GROUPS, INPUT, JOIN, KERNEL, PROFILE, RANK, RESHAPE, Row

_NODE = r"running \w+ node\. Name:'(?P<layer>[^']*)'.*?"
_RECORDED = "recorded with onnxruntime 1.31.1"


_runtime = partial(Row, "onnxruntime")
_tensorrt = partial(Row, "TensorRT")
_opencv = partial(Row, "OpenCV")

ROWS = (
    # -- onnxruntime --------------------------------------------------------------------------------------------------
    _runtime(
        INPUT,
        r"Got invalid dimensions for input: (?P<layer>\S+) for the following indices index: (?P<axis>\d+) Got: "
        r"(?P<given>\d+) Expected: (?P<wanted>\d+)",
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: images for the following "
        "indices\n index: 2 Got: 960 Expected: 736\n index: 3 Got: 960 Expected: 1088\n Please fix either the inputs "
        "or the model.",
        "stephansturges/WALDO/issues/9",
    ),
    _runtime(
        RESHAPE,
        r"(?:" + _NODE + r")?cannot be reshaped to the requested shape\. Input shape:\{(?P<given>[-\d, ]*)\}, "
        r"requested shape:\{(?P<wanted>[-\d, ]*)\}",
        "onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException: [ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : "
        "Non-zero status code returned while running Reshape node. Name:'Reshape_149' Status Message: "
        "/onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:41 onnxruntime::ReshapeHelper::"
        "ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) gsl::narrow_cast"
        "<int64_t>(input_shape.Size()) == size was false. The input tensor cannot be reshaped to the requested shape. "
        "Input shape:{1,7,256}, requested shape:{1,10,8,32}",
        "anuragxel/salt/issues/50",
    ),
    _runtime(
        JOIN,
        r"(?:" + _NODE + r")?Attempting to broadcast an axis by a dimension other than 1\. (?P<wanted>\d+) by "
        r"(?P<given>\d+)",
        "[E:onnxruntime:, sequential_executor.cc:346 Execute] Non-zero status code returned while running Add node. "
        "Name:'Add_1363' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:505 "
        "void onnxruntime::BroadcastIterator::Append(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. "
        "Attempting to broadcast an axis by a dimension other than 1. 9 by 505",
        "onnx/tensorflow-onnx/issues/1862",
    ),
    _runtime(
        JOIN,
        _NODE + r"operand cannot broadcast on dim (?P<axis>\d+) LeftShape: \{(?P<wanted>[\d,]+)\}, RightShape: "
        r"\{(?P<given>[\d,]+)\}",
        "Non-zero status code returned while running Add node. Name:'Add_1103' Status Message: Add_1103: right operand "
        "cannot broadcast on dim 3 LeftShape: {1,3,20,20,2}, RightShape: {1,1,21,12,2}",
        "triton-inference-server/onnxruntime_backend/issues/43",
    ),
    _runtime(
        JOIN,
        _NODE + r"Axis (?P<axis>\d+) has mismatched dimensions of (?P<wanted>\d+) and (?P<given>\d+)",
        "Fail: [ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Concat node. "
        "Name:'/model.18/Concat' Status Message: concat.cc:157 onnxruntime::ConcatBase::PrepareForCompute Non concat "
        "axis dimensions must match: Axis 2 has mismatched dimensions of 63 and 64",
        "microsoft/onnxruntime/issues/4641",
    ),
    _runtime(
        FAN_IN,
        _NODE + r"GEMM: Dimension mismatch, W: \{(?P<weight>[\d,]+)\} K: (?P<given>\d+) N:(?P<outputs>\d+)",
        "onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument: [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : "
        "Non-zero status code returned while running Gemm node. Name:'Gemm_185' Status Message: GEMM: Dimension "
        "mismatch, W: {512,512} K: 16384 N:512",
        "deepinsight/insightface/issues/2300",
    ),
    _runtime(
        FAN_IN,
        _NODE + r"MatMul dimension mismatch",
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running MatMul node. Name:'head' Status "
        "Message: matmul_helper.h:59 Compute MatMul dimension mismatch",
        _RECORDED,
    ),
    _runtime(
        CHANNELS,
        _NODE + r"Input channels C is not equal to kernel channels \* group\. C: (?P<given>\d+) kernel channels: "
        r"(?P<wanted>\d+) group: 1",
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'y_nchwc' Status "
        "Message: Input channels C is not equal to kernel channels * group. C: 1 kernel channels: 3 group: 1",
        _RECORDED,
    ),
    _runtime(
        KERNEL,
        _NODE + r"(?:Invalid input shape: \{(?P<given>[\d,]+)\}|Calculated output dimension is negative)",
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running AveragePool node. Name:'pool5' "
        "Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/nn/pool_attributes.h:236 int64_t onnxruntime::"
        "PoolAttributes::ComputeOutputSize(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t) const out_size >= 0 "
        "was false. Calculated output dimension is negative. Check kernel_shape, pads, strides and dilations.",
        _RECORDED,
    ),
    _runtime(
        RANK,
        r"Invalid rank for input: (?P<layer>\S+) Got: (?P<rank>\d+) Expected: (?P<wanted>\d+)",
        "Invalid rank for input: image_embeddings Got: 1 Expected: 4 Please fix either the inputs/outputs or the "
        "model.",
        "microsoft/onnxruntime/issues/19953",
    ),
    _runtime(
        JOIN,
        r"(?:running Node: (?P<layer>\S*) Status Message: .*?)?Non concat axis dimensions must match: Axis "
        r"(?P<axis>\d+) has mismatched dimensions of (?P<wanted>\d+) and (?P<given>\d+)",
        "RuntimeError: Method run failed due to: [ONNXRuntimeError] : 1 : GENERAL ERROR : Non-zero status code "
        "returned while running Node: concat_35 Status Message: Not satsified: inputs_n_dims[axis_index] == "
        "inputs_0_dims[axis_index]\n"
        "concat.cc:47 onnxruntime::ConcatBase::PrepareForComputeNon concat axis dimensions must match: Axis 0 has "
        "mismatched dimensions of 1 and 16",
        "microsoft/onnxruntime/issues/1511",
    ),
    _runtime(
        DECLARED,
        r"(?:node name: (?P<layer>[^)]*)\): \[ShapeInferenceError\] )?Inferred shape and existing shape differ in "
        r"dimension (?P<axis>\d+): \((?P<given>\d+)\) vs \((?P<wanted>\d+)\)",
        "onnx.onnx_cpp2py_export.shape_inference.InferenceError: [ShapeInferenceError] (op_type:Conv, node name: "
        "019_convolutional): [ShapeInferenceError] Inferred shape and existing shape differ in dimension 2: (6) vs (5)",
        "onnxsim/onnxsim/issues/155",
    ),
    # -- TensorRT -----------------------------------------------------------------------------------------------------
    _tensorrt(
        PROFILE,
        r"Supplied binding dimension \[(?P<shape>[\d,]+)\] for bindings\[\d+\] exceed min ~ max range at index "
        r"(?P<axis>\d+), maximum dimension in profile is (?P<high>\d+), minimum dimension in profile is "
        r"(?P<low>\d+), but supplied dimension is (?P<given>\d+)",
        "[E] 3: [executionContext.cpp::nvinfer1::rt::ExecutionContext::validateInputBindings::2045] Error Code 3: API "
        "Usage Error (Parameter check failed at: runtime/api/executionContext.cpp::nvinfer1::rt::ExecutionContext::"
        "validateInputBindings::2045, condition: profileMaxDims.d[i] >= dimensions.d[i]. Supplied binding dimension "
        "[2,4,67,120] for bindings[0] exceed min ~ max range at index 2, maximum dimension in profile is 64, minimum "
        "dimension in profile is 64, but supplied dimension is 67.",
        "cumulo-autumn/StreamDiffusion/issues/152",
    ),
    _tensorrt(
        PROFILE,
        r"Runtime dimension does not satisfy any optimization profile",
        "[TensorRT-LLM][ERROR] 3: [executionContext.cpp::setInputShape::2309] Error Code 3: API Usage Error (Parameter "
        "check failed at: runtime/api/executionContext.cpp::setInputShape::2309, condition: satisfyProfile Runtime "
        "dimension does not satisfy any optimization profile.)",
        "NVIDIA/TensorRT-LLM/issues/1332",
    ),
    _tensorrt(
        INPUT,
        r"Static dimension mismatch while setting input shape(?: for (?P<layer>\S+)\. Set dimensions are "
        r"\[(?P<given>[\d,]+)\]\. Expected dimensions are \[(?P<wanted>[\d,]+)\])?",
        "IExecutionContext::setInputShape: Error Code 3: API Usage Error (Parameter check failed, condition: "
        "engineDims.d[i] == dims.d[i]. Static dimension mismatch while setting input shape for input. Set dimensions "
        "are [3,3,256,192]. Expected dimensions are [1,3,256,192]. In setInputShape at "
        "/_src/runtime/api/executionContext.cpp:2364)",
        "jamjamjon/usls/issues/212",
    ),
    _tensorrt(
        JOIN,
        r"ERROR: (?P<layer>\S+): all concat input tensors must have the same dimensions except on the concatenation "
        r"axis.*?Input 0 shape: \[(?P<wanted>[\d,]+)\], Input \d+ shape: \[(?P<given>[\d,]+)\]",
        "[TensorRT] ERROR: concatenate_1: all concat input tensors must have the same dimensions except on the "
        "concatenation axis (3), but dimensions mismatched at input 1 at index 1. Input 0 shape: [1,8,8,256], Input 1 "
        "shape: [1,7,7,512]",
        "NVIDIA/TensorRT/issues/1324",
    ),
    _tensorrt(
        JOIN,
        r"elementwise inputs must have same dimensions or follow broadcast rules \(input dimensions were "
        r"\[(?P<wanted>[\d,]+)\] and \[(?P<given>[\d,]+)\]\)",
        "ERROR: (Unnamed Layer* 182) [ElementWise]: elementwise inputs must have same dimensions or follow broadcast "
        "rules (input dimensions were [256,53,53] and [256,54,54]).",
        "wang-xinyu/tensorrtx/issues/9",
    ),
    _tensorrt(
        RESHAPE,
        r"reshaping failed for tensor: (?P<layer>\S+) reshape would change volume (?P<given>\d+) to "
        r"(?P<elements>\d+)(?: Instruction: \w+\{[\d ]+\} \{(?P<wanted>[-\d ]+)\})?",
        "DefaultLogger 7: [shapeMachine.cpp::executeContinuation::864] Error Code 7: Internal Error (IShuffleLayer "
        "(Unnamed Layer* 190) [Shuffle]: reshaping failed for tensor: TensorRTInputPH_38 reshape would change volume "
        "97200 to 98100 Instruction: RESHAPE_ZERO_IS_PLACEHOLDER{3240 1 30} {545 180}.)",
        "NVIDIA/TensorRT/issues/3990",
    ),
    _tensorrt(
        FAN_IN,
        r"last dimension of input0 = (?P<given>\d+) and (?:last|second to last) dimension of input1 = "
        r"(?P<wanted>\d+) but must match",
        "[06/14/2022-16:09:31] [E] [TRT] 4: (Unnamed Layer* 186) [Matrix Multiply]: last dimension of input0 = 850 and "
        "last dimension of input1 = 32 but must match.",
        "wang-xinyu/tensorrtx/issues/1017",
    ),
    _tensorrt(
        JOIN,
        r"(?P<layer>[^\s(]+): dimensions not compatible for elementwise\. Condition '==' violated: (?P<wanted>\d+) != "
        r"(?P<given>\d+)",
        "7: [shapeMachine.cpp::executeContinuation::887] Error Code 7: Internal Error (Add_430: dimensions not "
        "compatible for elementwise. Condition '==' violated: 5376 != 4725. Instruction: CHECK_EQUAL 5376 4725.)",
        "NVIDIA/TensorRT/issues/3309",
    ),
    _tensorrt(
        JOIN,
        r"dimensions not compatible for elementwise(?:.*?CHECK_BROADCAST (?P<wanted>\d+) (?P<given>\d+))?",
        "[TensorRT] ERROR: (Unnamed Layer* 13) [ElementWise]: dimensions not compatible for elementwise\n"
        "[TensorRT] ERROR: shapeMachine.cpp (252) - Shape Error in operator(): broadcast iwth incompatible dimensions\n"
        "[TensorRT] ERROR: Instruction: CHECK_BROADCAST 5 100",
        "NVIDIA/TensorRT/issues/426",
    ),
    _tensorrt(
        JOIN,
        r"(?P<layer>[^\s(]+): dimensions not compatible for concatenation",
        "[TensorRT] ERROR: 4: [shapeCompiler.cpp::evaluateShapeChecks::822] Error Code 4: Internal Error (kOPT values "
        "for profile 0 violate shape constraints: condition '==' violated. Concat_351: dimensions not compatible for "
        "concatenation)",
        "open-mmlab/mmdeploy/issues/460",
    ),
    _tensorrt(
        CHANNELS,
        r"\[Convolution\]: number of kernel weights does not match tensor dimensions",
        "[E] [TRT] 4: [convolutionNode.cpp::nvinfer1::builder::ConvolutionNode::computeOutputExtents::58] Error Code "
        "4: Internal Error ((Unnamed Layer* 284) [Convolution]: number of kernel weights does not match tensor "
        "dimensions)",
        "yester31/Real_ESRGAN_TRT/issues/11",
    ),
    # -- OpenCV's dnn -------------------------------------------------------------------------------------------------
    _opencv(
        CHANNELS,
        r"Number of input channels should be multiple of (?P<wanted>\d+) but got (?P<given>\d+)",
        "cv2.error: OpenCV(3.4.5-dev) /path/to/opencv/modules/dnn/src/layers/convolution_layer.cpp:263: error: "
        "(-2:Unspecified error) Number of input channels should be multiple of 3 but got 4 in function "
        "'getMemoryShapes'",
        "opencv/opencv/pull/13599",
    ),
    _opencv(
        GROUPS,
        r"ngroups > 0 && inpCn % ngroups == 0 && outCn % ngroups == 0",
        "OpenCV Error: Assertion failed (ngroups > 0 && inpCn % ngroups == 0 && outCn % ngroups == 0) in "
        "getMemoryShapes, file /build/opencv/src/opencv-3.3.1/modules/dnn/src/layers/convolution_layer.cpp, line 199",
        "opencv/opencv/issues/10298",
    ),
    _opencv(
        JOIN,
        r"\[Concat\]:\((?P<layer>[^)]+)\):.*?input\[0\] = \[ (?P<wanted>[\d ]+) \].*?input\[\d+\] = \[ "
        r"(?P<given>[\d ]+) \].*?Inconsist?ent shape for ConcatLayer",
        "[ERROR:0] global /io/opencv/modules/dnn/src/dnn.cpp (3066) getLayerShapesRecursively OPENCV/DNN: [Concat]:"
        "(concat_20): getMemoryShapes() throws exception. inputs=2 outputs=1/1\n"
        "[ERROR:0] global /io/opencv/modules/dnn/src/dnn.cpp (3069) getLayerShapesRecursively     input[0] = [ 1 128 "
        "28 28 ]\n"
        "[ERROR:0] global /io/opencv/modules/dnn/src/dnn.cpp (3069) getLayerShapesRecursively     input[1] = [ 1 256 "
        "27 27 ]\n"
        "[ERROR:0] global /io/opencv/modules/dnn/src/dnn.cpp (3075) getLayerShapesRecursively Exception message: "
        "OpenCV(4.2.0) /io/opencv/modules/dnn/src/layers/concat_layer.cpp:102: error: (-201:Incorrect size of input "
        "array) Inconsistent shape for ConcatLayer in function 'getMemoryShapes'",
        "opencv/opencv/issues/16831",
    ),
    _opencv(
        JOIN,
        r"Inconsist?ent shape for ConcatLayer",
        "OpenCV(4.5.1) \\opencv\\modules\\dnn\\src\\layers\\concat_layer.cpp:102: error: (-201:Incorrect size of input "
        "array) Inconsistent shape for ConcatLayer in function 'cv::dnn::ConcatLayerImpl::getMemoryShapes'",
        "opencv/opencv/issues/19416",
    ),
    _opencv(
        FAN_IN,
        r"innerSize == innerSize0",
        "OpenCV Error: Assertion failed ((size_t)innerSize == innerSize0) in cv::dnn::FullyConnectedLayerImpl::"
        "allocate, file H:\\opencv_new\\opencv_contrib-master\\modules\\dnn\\src\\layers\\fully_connected_layer.cpp, "
        "line 89",
        "opencv/opencv_contrib/issues/1160",
    ),
    _opencv(
        FAN_IN,
        r"srcMat\.cols == weights\.cols",
        "cv2.error: OpenCV(4.5.3) C:\\Users\\runneradmin\\AppData\\Local\\Temp\\pip-req-build-1i5nllza\\opencv\\modules"
        "\\dnn\\src\\layers\\fully_connected_layer.cpp:181: error: (-215:Assertion failed) srcMat.dims == 2 && "
        "srcMat.cols == weights.cols && dstMat.rows == srcMat.rows && dstMat.cols == weights.rows && srcMat.type() == "
        "weights.type() && weights.type() == dstMat.type() && srcMat.type() == CV_32F && (biasMat.empty() || "
        "(biasMat.type() == srcMat.type() && biasMat.isContinuous() && (int)biasMat.total() == dstMat.cols)) in "
        "function 'cv::dnn::FullyConnectedLayerImpl::FullyConnected::run'",
        "opencv/opencv/issues/13923",
    ),
)
