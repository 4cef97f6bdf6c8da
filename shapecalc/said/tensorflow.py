"""Error texts of Keras and of TensorFlow under it."""

from __future__ import annotations

from functools import partial

from .row import CHANNELS, FAN_IN, INPUT, JOIN, KERNEL, LABELS, RANK, WEIGHTS, Row

_keras = partial(Row, "Keras/TensorFlow")

ROWS = (
    _keras(
        CHANNELS,
        r"Input 0 (?:of layer \"?(?P<layer>[\w/]+)\"? )?is incompatible with (?:the )?layer:? ?[\w:]*:? ?expected "
        r"axis -?\d of input shape to have value (?P<wanted>\d+),? but (?:received input with|got) shape "
        r"[\[(](?P<shape>\w+, \w+, \w+, (?P<given>\d+))[\])]",
        'Input 0 of layer "conv2d" is incompatible with the layer: expected axis -1 of input shape to have value 3, '
        "but received input with shape (None, 128, 128, 1)",
        "VidushiBhatia/U-Net-Implementation/issues/3",
    ),
    _keras(
        FAN_IN,
        r"Input 0 (?:of layer \"?(?P<layer>[\w/]+)\"? )?is incompatible with (?:the )?layer:? ?[\w:]*:? ?expected "
        r"axis -1 of input shape to have value (?P<wanted>\d+),? but (?:received input with|got) shape "
        r"[\[(](?:[^\])]*, )?(?P<given>\d+)[\])]",
        'Input 0 of layer "dense_2" is incompatible with the layer: expected axis -1 of input shape to have value '
        "16384, but received input with shape (None, 65536)",
        "keras-team/keras/issues/19367",
    ),
    _keras(
        FAN_IN,
        r"Matrix size-incompatible: In\[0\]: \[(?P<rows>\d+),(?P<given>\d+)\], In\[1\]: \[(?P<wanted>\d+),\d+\]",
        "InvalidArgumentError (see above for traceback): Matrix size-incompatible: In[0]: [100,3136], In[1]: [784,500]",
        "caicloud/tensorflow-tutorial/issues/138",
    ),
    _keras(
        JOIN,
        r"`Concatenate` layer requires inputs with matching shapes except for the concat\w* axis.*?"
        r"\[\((?P<wanted>[^)]+)\), (?:.*, )?\((?P<given>[^)]+)\)\]",
        "ValueError: A `Concatenate` layer requires inputs with matching shapes except for the concat axis. Got inputs "
        "shapes: [(None, 64, 64, 82, 32), (None, 64, 64, 81, 32)]",
        "voxelmorph/voxelmorph/issues/105",
    ),
    _keras(
        JOIN,
        r"ConcatOp : Dimensions of inputs should match: shape\[0\] = \[(?P<wanted>[\d,]+)\] vs\. shape\[\d+\] = "
        r"\[(?P<given>[\d,]+)\]",
        "tensorflow.python.framework.errors_impl.InvalidArgumentError: ConcatOp : Dimensions of inputs should match: "
        "shape[0] = [1,16,20,256] vs. shape[1] = [1,15,20,256]",
        "halimacc/DenseHumanBodyCorrespondences/issues/1",
    ),
    _keras(
        JOIN,
        r"Operands could not be broadcast together with shapes \((?P<wanted>[^)]+)\) \((?P<given>[^)]+)\)",
        "ValueError: Operands could not be broadcast together with shapes (21, 34, 4) (21, 34, 3)",
        "sadeepj/crfasrnn_keras/issues/60",
    ),
    _keras(
        JOIN,
        r"Dimensions must be equal, but are (?P<wanted>\d+) and (?P<given>\d+) for '(?P<layer>[^']+)'",
        "ValueError: Dimensions must be equal, but are 38 and 39 for 'generator/spade_resblock_0/spade_1/mul' (op: "
        "'Mul') with input shapes: [1,38,38,1024], [1,39,39,1024].",
        "taki0112/SPADE-Tensorflow/issues/26",
    ),
    _keras(
        KERNEL,
        r"Negative dimension size caused by subtracting (?P<wanted>\d+) from (?P<given>\d+) for '(?P<layer>[^'/]+)",
        "ValueError: Negative dimension size caused by subtracting 7 from 3 for 'avg_pool/AvgPool' (op: 'AvgPool') "
        "with input shapes: [?,3,3,2048].",
        "fchollet/deep-learning-models/issues/76",
    ),
    _keras(
        KERNEL,
        r"[Cc]omputed output size would be (?:zero or )?negative",
        'computed output size would be negative [[Node: pool_3 = AvgPool[T=DT_FLOAT, data_format="NHWC", ksize=[1, 8, '
        '8, 1], padding="VALID", strides=[1, 1, 1, 1], _device="/job:localhost/replica:0/task:0/cpu:0"](mixed_10/join)'
        "]]",
        "tensorflow/tensorflow/issues/12795",
    ),
    _keras(
        WEIGHTS,
        r"Shape mismatch in layer #\d+ \(named (?P<layer>[^)]+)\) for weight \S+\. Weight expects shape "
        r"\((?P<wanted>[\d, ]+)\)\. Received saved weight with shape \((?P<given>[\d, ]+)\)",
        "ValueError: Shape mismatch in layer #175 (named conv2d_transpose_1) for weight conv2d_transpose_1/kernel:0. "
        "Weight expects shape (4, 4, 128, 256). Received saved weight with shape (2048, 256, 4, 4)",
        "bubbliiiing/centernet-keras/issues/9",
    ),
    _keras(
        WEIGHTS,
        r"Layer (?P<layer>\w+ )?weight shape \((?P<wanted>[\d, ]+)\) (?:is )?not compatible with provided weight "
        r"shape \((?P<given>[\d, ]+)\)",
        "ValueError: Layer weight shape (1792, 128) not compatible with provided weight shape (1792, 512)",
        "nyoki-mtl/keras-facenet/issues/10",
    ),
    _keras(
        INPUT,
        r"is incompatible with (?:the layer|layer \w+): expected shape ?= ?\((?P<wanted>[^)]+)\), found shape ?= ?"
        r"\((?P<given>[^)]+)\)",
        "ValueError: Input 0 is incompatible with layer model: expected shape=(None, 224, 224, 3), found shape=(None, "
        "240, 320, 3)",
        "harvitronix/five-video-classification-methods/issues/150",
    ),
    _keras(
        INPUT,
        r"Error when checking input: expected (?P<layer>\S+) to have shape \((?P<wanted>[^)]+)\) but got "
        r"array with shape \((?P<given>[^)]+)\)",
        "ValueError: Error when checking input: expected img to have shape (1536, 1536, 1) but got array with shape "
        "(1536, 1536, 3)",
        "keras-team/keras/issues/13788",
    ),
    _keras(
        INPUT,
        r"Model was constructed with shape \((?P<wanted>[^)]+)\) for input .*?called on an input with incompatible "
        r"shape \((?P<given>[^)]+)\)",
        "Model was constructed with shape (None, None, None, 3) for input KerasTensor, but it was called on an input "
        "with incompatible shape (None, 3, 224, 224)",
        "ndrplz/surround_vehicles_awareness/issues/17",
    ),
    _keras(
        WEIGHTS,
        r"Tensor's shape \((?P<wanted>[\d, ]+)\) is not compatible with supplied shape \(?(?P<given>[\d, ]+)\)?",
        "ValueError: Tensor's shape (1, 1, 256, 37) is not compatible with supplied shape (1, 1, 256, 19)",
        "google-research/deeplab2/issues/100",
    ),
    _keras(
        WEIGHTS,
        r"Cannot assign to variable (?P<layer>[^\s:]+):?\d* due to variable shape \((?P<wanted>[\d, ]+)\) and value "
        r"shape \((?P<given>[\d, ]+)\) are incompatible",
        "ValueError: Cannot assign to variable WeightSharedConvolutionalBoxPredictor/"
        "WeightSharedConvolutionalClassHead/ClassPredictor/bias:0 due to variable shape (18,) and value shape (546,) "
        "are incompatible",
        "tensorflow/models/issues/9703",
    ),
    _keras(
        LABELS,
        r"Shapes \((?P<given>[^)]*)\) and \((?P<wanted>[^)]*)\) are incompatible",
        "ValueError: Shapes (None, 1) and (None, 50) are incompatible",
        "tensorflow/models/issues/10635",
    ),
    _keras(
        INPUT,
        r"[Cc]annot feed value of shape \((?P<given>[\d, ]*)\) for [Tt]ensor u?'(?P<layer>[^']+)' ?, which has shape "
        r"\(?'\(?(?P<wanted>[^)']+)\)?'",
        "ValueError: Cannot feed value of shape (64, 32, 32, 1) for Tensor 'Placeholder:0', which has shape '(64, 64, "
        "64, 3)'",
        "JunLeecus/Image-Stitch/issues/2",
    ),
    _keras(
        RANK,
        r"Error when checking input: expected (?P<layer>\S+) to have (?P<wanted>\d) dimensions, but got array with "
        r"shape \((?P<given>[^)]+)\)",
        "ValueError: Error when checking input: expected input_6 to have 4 dimensions, but got array with shape (23, "
        "512, 512)",
        "keras-team/keras/issues/9196",
    ),
    _keras(
        RANK,
        r"Input 0 (?:of layer \"?(?P<layer>[\w/]+)\"? )?is incompatible with (?:the layer|layer [\w/]+): expected "
        r"(?:min_)?ndim=(?P<wanted>\d), found ndim=(?P<rank>\d)\.?(?: Full shape received: "
        r"[\[(](?P<given>[^\])]*)[\])])?",
        'Input 0 of layer "dense" is incompatible with the layer: expected min_ndim=2, found ndim=1. Full shape '
        "received: (5,)",
        "tum-pbs/pbdl-book/pull/10",
    ),
    _keras(
        LABELS,
        r"Error when checking target: expected (?P<layer>\S+) to have shape \((?P<wanted>[^)]+)\) but got array with "
        r"shape \((?P<given>[^)]+)\)",
        "ValueError: Error when checking target: expected conv2d_11 to have shape (256, 256, 1) but got array with "
        "shape (259, 259, 1)",
        "keras-team/keras/issues/11875",
    ),
    _keras(
        JOIN,
        r"\"concat\" mode can only merge layers with matching output shapes.*?\[\((?P<wanted>[^)]+)\), (?:.*, )?"
        r"\((?P<given>[^)]+)\)\]",
        '"concat" mode can only merge layers with matching output shapes except for the concat axis. Layer shapes: '
        "[(None, 73, 73, 64), (None, 73, 73, 96)]",
        "titu1994/Inception-v4/issues/3",
    ),
    _keras(
        JOIN,
        r"Dimension \d+ in both shapes must be equal, but are \d+ and \d+\.\s+Shapes are \[(?P<wanted>[\d,?]+)\] and "
        r"\[(?P<given>[\d,?]+)\]\.?\s+for '(?:\{\{node )?(?P<layer>[^'}]+)",
        "InvalidArgumentError: Dimension 0 in both shapes must be equal, but are 38 and 19. Shapes are [38,38] and "
        "[19,38]. for '{{node lambda/yolo-v4-tiny/concat_9}} = ConcatV2[N=2, T=DT_FLOAT, Tidx=DT_INT32](lambda/"
        "yolo-v4-tiny/Conv_13/LeakyRelu, lambda/yolo-v4-tiny/upsampled, lambda/yolo-v4-tiny/concat_9/axis)' with input "
        "shapes: [?,256,38,38], [?,128,19,38], [] and with computed input tensors: input[2] = <1>.",
        "RenLuXi/tensorflow-yolov4-tiny/issues/3",
    ),
    _keras(
        JOIN,
        r"Incompatible shapes: \[(?P<wanted>[\d,]+)\] vs\. \[(?P<given>[\d,]+)\]",
        "Incompatible shapes: [4,20,20,3] vs. [4,19,19,3]",
        "pierluigiferrari/fcn8s_tensorflow/issues/6",
    ),
    _keras(
        CHANNELS,
        r"[Dd]epth of input \((?P<given>\d+)\) is not a multiple of input depth of filter \((?P<wanted>\d+)\) for "
        r"'(?P<layer>[^'/]+)",
        "ValueError: Depth of input (32) is not a multiple of input depth of filter (64) for 'conv2/Conv2D' (op: "
        "'Conv2D') with input shapes: [?,?,?,32], [3,3,64,128].",
        "ritheshkumar95/im2latex-tensorflow/issues/24",
    ),
    _keras(
        CHANNELS,
        r"input depth of (?P<given>\d+) does not match the filter input depth of (?P<wanted>\d+)",
        "UnimplementedError: The Conv2D op currently does not support grouped convolutions on the CPU. A grouped "
        "convolution was attempted to be run because the input depth of 9 does not match the filter input depth of 3 "
        "[Op:Conv2D]",
        "tensorflow/tensorflow/issues/32647",
    ),
    _keras(
        CHANNELS,
        r"input and filter must have the same depth: (?P<given>\d+) vs (?P<wanted>\d+)",
        "InvalidArgumentError (see above for traceback): input and filter must have the same depth: 96 vs 144",
        "jakeret/tf_unet/issues/210",
    ),
    _keras(
        CHANNELS,
        r"number of input channels does not match corresponding dimension of filter, (?P<given>\d+) != (?P<wanted>\d+)",
        "ValueError: number of input channels does not match corresponding dimension of filter, 3 != 192",
        "mitchelljy/DCGAN-Keras/issues/9",
    ),
    _keras(
        WEIGHTS,
        r"Assign requires shapes of both tensors to match\. lhs shape= \[(?P<wanted>[\d,]+)\] rhs shape= "
        r"\[(?P<given>[\d,]+)\](?: \[\[Node: \S+ = Assign\[T=\w+, _class=\[\"loc:@(?P<layer>[^\"]+))?",
        "InvalidArgumentError (see above for traceback): Assign requires shapes of both tensors to match. lhs shape= "
        "[3,3,1,32] rhs shape= [5,5,1,32]\n"
        '\t [[Node: save/Assign_2 = Assign[T=DT_FLOAT, _class=["loc:@conv2d/kernel"],',
        "tensorflow/tensorflow/issues/7889",
    ),
)
