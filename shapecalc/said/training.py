"""Error texts of the frameworks nets are trained in: PyTorch, Caffe, Chainer, Keras with TensorFlow."""

from __future__ import annotations

from functools import partial

from .row import CHANNELS, FAN_IN, GROUPS, INPUT, JOIN, KERNEL, RESHAPE, WEIGHTS, Row

_torch = partial(Row, "PyTorch")
_caffe = partial(Row, "Caffe")
_chainer = partial(Row, "Chainer")
_keras = partial(Row, "Keras/TensorFlow")

ROWS = (
    # -- PyTorch ------------------------------------------------------------------------------------------------------
    _torch(
        FAN_IN,
        r"mat1 and mat2 shapes cannot be multiplied \((?P<rows>\d+)x(?P<given>\d+) and (?P<wanted>\d+)x\d+\)",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (4608x2048 and 4096x1024)",
        "fartashf/vsepp/issues/49",
    ),
    _torch(
        FAN_IN,
        r"size mismatch, m1: \[(?P<rows>\d+) x (?P<given>\d+)\], m2: \[(?P<wanted>\d+) x \d+\]",
        "RuntimeError: size mismatch, m1: [1 x 10240], m2: [7680 x 1024] at /opt/conda/conda-bld/pytorch_1556653215914"
        "/work/aten/src/THC/generic/THCTensorMathBlas.cu:268",
        "fabvio/ld-lsi/issues/10",
    ),
    _torch(
        WEIGHTS,
        r"size mismatch for (?P<layer>[\w.]+): copying a param with shape (?:torch\.Size\()?\[(?P<given>[\d, ]*)\]\)?"
        r" from checkpoint, the shape in current model is (?:torch\.Size\()?\[(?P<wanted>[\d, ]*)\]",
        "RuntimeError: Error(s) in loading state_dict for SSDCNet_classify:\n"
        "\tsize mismatch for back_end_cls.3.weight: copying a param with shape torch.Size([27, 512, 1, 1]) from "
        "checkpoint, the shape in current model is torch.Size([31, 512, 1, 1]).",
        "xhp-hust-2018-2011/SS-DCNet/issues/4",
    ),
    _torch(
        JOIN,
        r"The size of tensor a \((?P<wanted>\d+)\) must match the size of tensor b \((?P<given>\d+)\) at "
        r"non-singleton dimension (?P<axis>\d+)",
        "RuntimeError: The size of tensor a (6) must match the size of tensor b (5) at non-singleton dimension 2",
        "ccarliu/m3ae/issues/3",
    ),
    _torch(
        JOIN,
        r"Sizes of tensors must match except in dimension \d+\. Expected size (?P<wanted>\d+) but got size "
        r"(?P<given>\d+) for tensor",
        "RuntimeError: Sizes of tensors must match except in dimension 1. Expected size 197 but got size 196 for "
        "tensor number 1 in the list.",
        "XinyiYing/LESPS/issues/10",
    ),
    _torch(
        JOIN,
        r"Sizes of tensors must match except in dimension \d+\. Got (?P<wanted>\d+) and (?P<given>\d+)"
        r"(?: in dimension (?P<axis>\d+))?",
        "RuntimeError: invalid argument 0: Sizes of tensors must match except in dimension 1. Got 20 and 21 in "
        "dimension 2 at /pytorch/aten/src/TH/generic/THTensor.cpp:689",
        "qubvel-org/segmentation_models.pytorch/issues/93",
    ),
    _torch(
        CHANNELS,
        r"Given groups=\d+, weight (?:of size )?\[?[\d, ]+\]?, (?:so )?expected input\[(?P<shape>[\d, ]+)\] to have "
        r"(?P<wanted>\d+) channels, but got (?P<given>\d+) channels",
        "RuntimeError: Given groups=1, weight of size [64, 3, 3, 3], expected input[1, 1, 256, 256] to have 3 "
        "channels, but got 1 channels instead",
        "avBuffer/UNet3plus_pth/issues/19",
    ),
    _torch(
        KERNEL,
        r"Calculated padded input size per channel: \((?P<given>[\dx ]+)\)\. Kernel size: \((?P<wanted>[\dx ]+)\)\. "
        r"Kernel size can't be greater",
        "RuntimeError: Calculated padded input size per channel: (1 x 4). Kernel size: (3 x 3). Kernel size can't be "
        "greater than actual input size",
        "tamarott/SinGAN/issues/28",
    ),
    _torch(
        KERNEL,
        r"Given input size: \((?P<shape>[\dx]+)\)\. Calculated output size: \((?P<output>[-\dx]+)\)\. Output size is "
        r"too small",
        "RuntimeError: Given input size: (2048x1x1). Calculated output size: (2048x-5x-5). Output size is too small",
        "KaihuaTang/Long-Tailed-Recognition.pytorch/issues/29",
    ),
    _torch(
        RESHAPE,
        r"shape '\[(?P<wanted>[-\d, ]+)\]' is invalid for input of size (?P<given>\d+)",
        "RuntimeError: shape '[1, 1, 3, 500, 500]' is invalid for input of size 762048",
        "iPERDance/iPERCore/issues/168",
    ),
    _torch(
        INPUT,
        r"Input (?:image )?(?:size|height|width) \((?P<given>\d+)(?:\*\d+)?\) doesn't match model \((?P<wanted>\d+)",
        "AssertionError: Input image size (384*384) doesn't match model (224*224).",
        "Lightning-Universe/lightning-flash/issues/712",
    ),
    # -- Caffe --------------------------------------------------------------------------------------------------------
    _caffe(
        FAN_IN,
        r"K_ == new_K \((?P<wanted>\d+) vs\. (?P<given>\d+)\)",
        "F1211 23:40:22.295680 10440 inner_product_layer.cpp:64] Check failed: K_ == new_K (9216 vs. 82944) Input "
        "size incompatible with inner product parameters.",
        "fzliu/style-transfer/issues/52",
    ),
    _caffe(
        WEIGHTS,
        r"Cannot copy param \d+ weights from layer '(?P<layer>[^']+)'; shape mismatch\. Source param shape is "
        r"(?P<given>[\d ]+) \(\d+\); target param shape is (?P<wanted>[\d ]+) \(\d+\)",
        "ERROR: Cannot copy param 0 weights from layer 'fc6'; shape mismatch. Source param shape is 1 1 4096 9216 "
        "(37748736); target param shape is 4096 256 6 6 (37748736). To learn this layer's parameters from scratch "
        "rather than copying from a saved net, rename the layer.",
        "NVIDIA/DIGITS/issues/1525",
    ),
    _caffe(
        JOIN,
        r"top_shape\[j\] == bottom\[i\]->shape\(j\) \((?P<wanted>\d+) vs\. (?P<given>\d+)\)",
        "F0613 10:06:28.511782 16295 concat_layer.cpp:42] Check failed: top_shape[j] == bottom[i]->shape(j) (25 vs. "
        "26) All inputs must have the same shape, except at concat_axis.",
        "soeaver/caffe-model/issues/17",
    ),
    _caffe(
        JOIN,
        r"bottom\[0\]->shape\(\) == bottom\[i\]->shape\(\) bottom\[0\]: (?P<wanted>[\d ]+) \(\d+\), bottom\[\d+\]: "
        r"(?P<given>[\d ]+) \(\d+\)",
        "F0514 16:58:40.370375 29026 eltwise_layer.cpp:34] Check failed: bottom[0]->shape() == bottom[i]->shape() "
        "bottom[0]: 1 21 349 500 (3664500), bottom[1]: 1 21 334 500 (3507000)",
        "torrvision/crfasrnn/issues/128",
    ),
    _caffe(
        JOIN,
        r"Check failed: bottom\[i\]->shape\(\) == bottom\[0\]->shape\(\)",
        "F0728 19:06:29.214459  4998 eltwise_layer.cpp:34] Check failed: bottom[i]->shape() == bottom[0]->shape()",
        "BVLC/caffe/issues/5807",
    ),
    _caffe(
        KERNEL,
        r"(?:at layer (?P<layer>\S+): )?blob\.cpp:\d+[\]:] Check failed: shape\[i\] >= 0 \((?P<output>-\d+) vs\. 0\)",
        "at layer pool5/7x7_s1: blob.cpp:32: Check failed: shape[i] >= 0 (-2 vs. 0)",
        "recorded with BVLC Caffe at commit 9b89154",
    ),
    _caffe(
        KERNEL,
        r"(?:at layer (?P<layer>\S+): )?blob\.cpp:\d+[\]:] Check failed: data_",
        "at layer loss3/classifier: blob.cpp:133: Check failed: data_",
        "recorded with BVLC Caffe at commit 9b89154",
    ),
    _caffe(
        GROUPS,
        r"channels_ % group_ == 0 \(\d+ vs\. 0\)",
        "base_conv_layer.cpp:121] Check failed: channels_ % group_ == 0 (1 vs. 0)",
        "recorded with BVLC Caffe at commit 9b89154",
    ),
    _caffe(
        GROUPS,
        r"Number of top blobs \((?P<wanted>\d+)\) should evenly divide input slice axis \((?P<given>\d+)\)",
        "slice_layer.cpp:61] Check failed: bottom_slice_axis % top.size() == 0 (1 vs. 0) Number of top blobs (2) "
        "should evenly divide input slice axis (5)",
        "recorded with BVLC Caffe at commit 9b89154",
    ),
    # -- Chainer ------------------------------------------------------------------------------------------------------
    _chainer(
        FAN_IN,
        r"Expect: x\.shape\[1\] == W\.shape\[1\] Actual: (?P<given>\d+) != (?P<wanted>\d+)",
        "chainer.utils.type_check.InvalidType:\nInvalid operation is performed in: LinearFunction (Forward)\n\n"
        "Expect: x.shape[1] == W.shape[1]\nActual: 450 != 800",
        "recorded with Chainer 7.8.1",
    ),
    _chainer(
        FAN_IN,
        r"Expect: prod\(in_types\[0\]\.shape\[1:\]\) == in_types\[1\]\.shape\[1\] Actual: (?P<given>\d+) != "
        r"(?P<wanted>\d+)",
        "chainer.utils.type_check.InvalidType: \nInvalid operation is performed in: LinearFunction (Forward)\n\n"
        "Expect: prod(in_types[0].shape[1:]) == in_types[1].shape[1]\nActual: 512 != 16",
        "chainer/chainer/issues/1614",
    ),
    _chainer(
        CHANNELS,
        r"in: Convolution\w+ \(Forward\) Expect: \S+\.shape\[1\] == \S+\.shape\[1\](?: \* \S+)? Actual: "
        r"(?P<given>\d+) != (?P<wanted>\d+)",
        "Invalid operation is performed in: Convolution2DFunction (Forward)\n\n"
        "Expect: in_types[0].shape[1] == in_types[1].shape[1] * 1\nActual: 0 != 1",
        "chainer/chainer/issues/7748",
    ),
    _chainer(
        JOIN,
        r"Expect: in_types\[0\]\.shape\[(?P<axis>\d+)\] == in_types\[\d+\]\.shape\[\d+\] Actual: (?P<wanted>\d+) != "
        r"(?P<given>\d+)",
        "Expect: in_types[0].shape[2] == in_types[1].shape[2]\nActual: 511 != 512",
        "Hiroshiba/become-yukarin/issues/39",
    ),
    _chainer(
        RESHAPE,
        r"Expect: prod\(x\.shape\) == prod\(\((?P<wanted>[-\d, ]+)\)\) Actual: (?P<given>\d+) != \d+",
        "Invalid operation is performed in: Reshape (Forward)\n\n"
        "Expect: prod(x.shape) == prod((1, 1000))\nActual: 4000 != 1000",
        "recorded with Chainer 7.8.1",
    ),
    _chainer(
        KERNEL,
        r"(?:Height|Width) in the output (?:should|must) be positive",
        "AssertionError: Height in the output should be positive.",
        "recorded with Chainer 7.8.1",
    ),
    _chainer(
        WEIGHTS,
        r"could not broadcast input array from shape \((?P<given>[\d, ]+)\) into shape \((?P<wanted>[\d, ]+)\)",
        "ValueError: could not broadcast input array from shape (4096,25088) into shape (4096,512,7,7)",
        "oyam/Semantic-Segmentation-using-Adversarial-Networks/issues/5",
    ),
    # -- Keras and TensorFlow -----------------------------------------------------------------------------------------
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
)
