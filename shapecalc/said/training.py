"""Error texts of the frameworks nets are trained in: PyTorch, Caffe, Chainer; `tensorflow` has those of Keras."""

from __future__ import annotations

from functools import partial

from .row import (
    BATCH,
    CHANNELS,
    CROP,
    FAN_IN,
    GROUPS,
    INPUT,
    JOIN,
    KERNEL,
    LABELS,
    PADDING,
    PARTS,
    RANK,
    RESHAPE,
    WEIGHTS,
    Row,
)

_torch = partial(Row, "PyTorch")
_caffe = partial(Row, "Caffe")
_chainer = partial(Row, "Chainer")

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
        r"Given groups=\d+, weight ?(?:of size )?\[?[\d, ]+\]?, (?:so )?expected input\[(?P<shape>[\d, ]+)\] to have "
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
    _torch(
        RANK,
        r"Expected (?P<wanted>\d)-dimensional input for \d-dimensional weight \[?[\d, ]+\]?, but got "
        r"(?:\d-dimensional )?input of size \[(?P<given>[\d, ]+)\]",
        "RuntimeError: Expected 4-dimensional input for 4-dimensional weight [64, 3, 7, 7], but got 3-dimensional "
        "input of size [3, 224, 224] instead.",
        "valerystrizh/pytorch-histogram-loss/issues/13",
    ),
    _torch(
        RANK,
        r"Expected \dD \(unbatched\) or (?P<wanted>\d)D \(batched\) input to conv\d?d, but got input of size: "
        r"\[(?P<given>[\d, ]+)\]",
        "RuntimeError: Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: "
        "[1, 16, 3, 512, 512]",
        "open-mmlab/mmdetection/issues/9579",
    ),
    _torch(
        LABELS,
        r"Expected input batch_size \((?P<wanted>\d+)\) to match target batch_size \((?P<given>\d+)\)",
        "ValueError: Expected input batch_size (183000) to match target batch_size (187500).",
        "meetps/pytorch-semseg/issues/127",
    ),
    _torch(
        JOIN,
        r"The expanded size of the tensor \((?P<wanted>\d+)\) must match the existing size \((?P<given>\d+)\) at "
        r"non-singleton dimension (?P<axis>\d+)",
        "RuntimeError: The expanded size of the tensor (9) must match the existing size (8) at non-singleton dimension "
        "3.  Target sizes: [1, 1, 6, 9].  Tensor sizes: [5, 8]",
        "xhp-hust-2018-2011/S-DCNet/issues/13",
    ),
    _torch(
        JOIN,
        r"inconsistent tensor sizes?\b",
        "RuntimeError: inconsistent tensor sizes at /opt/conda/conda-bld/pytorch_1503970438496/work/torch/lib/THC/"
        "generic/THCTensorMath.cu:141",
        "Hsuxu/carvana-pytorch-uNet/issues/1",
    ),
    _torch(
        JOIN,
        r"size of dimension does not match previous size, operand (?P<operand>\d+), dim (?P<axis>\d+)",
        "RuntimeError: size of dimension does not match previous size, operand 1, dim 1",
        "jeya-maria-jose/Medical-Transformer/issues/12",
    ),
    _torch(
        JOIN,
        r"input and target shapes do not match: input \[(?P<wanted>[\dx ]+)\], target \[(?P<given>[\dx ]+)\]",
        "RuntimeError: input and target shapes do not match: input [1 x 128 x 128 x 97], target [1 x 128 x 128 x 96] "
        "at c:\\programdata\\miniconda3\\conda-bld\\pytorch_1532500470552\\work\\aten\\src\\thcunn\\generic/"
        "MSECriterion.cu:12",
        "cheind/py-style-transfer/issues/2",
    ),
    _torch(
        PADDING,
        r"Padding size should be less than the corresponding input dimension, but got: padding \((?P<wanted>[\d, ]+)\) "
        r"at dimension (?P<axis>\d+) of input \[(?P<shape>[\d, ]+)\]",
        "RuntimeError: Padding size should be less than the corresponding input dimension, but got: padding (1, 1) at "
        "dimension 2 of input [1, 128, 1, 12]",
        "advimman/lama/issues/137",
    ),
    _torch(
        BATCH,
        r"stack expects each tensor to be equal size, but got \[(?P<wanted>[\d, ]*)\] at entry \d+ and "
        r"\[(?P<given>[\d, ]*)\] at entry \d+",
        "RuntimeError: stack expects each tensor to be equal size, but got [3, 288, 224] at entry 0 and [3, 320, 256] "
        "at entry 1",
        "mk-minchul/dcface/issues/11",
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
    _caffe(
        JOIN,
        r"bottom\[0\]->shape\(axis_ ?\+ ?i\) ?== ?scale->shape\(i\) \((?P<wanted>\d+) vs\.? (?P<given>\d+)\)"
        r"(?: dimension mismatch between bottom\[0\]->shape\((?P<axis>\d+)\))?",
        "checkfailed: bottom[0]->shape(axis_+i)==scale->shape(i) (12 vs 1) dimension mismatch between "
        "bottom[0]->shape(2) and scale->shape(2)",
        "BVLC/caffe/issues/6836",
    ),
    _caffe(
        WEIGHTS,
        r"ShapeEquals\(proto\) shape mismatch",
        "F0524 11:28:18.985998 12501 blob.cpp:459] Check failed: ShapeEquals(proto) shape mismatch (reshape not set)",
        "rbgirshick/fast-rcnn/issues/122",
    ),
    _caffe(
        PARTS,
        r"target_blobs\.size\(\) == source_layer\.blobs_size\(\) \((?P<wanted>\d+) vs\. (?P<given>\d+)\) Incompatible "
        r"number of blobs for layer (?P<layer>\S+)",
        "Check failed: target_blobs.size() == source_layer.blobs_size() (2 vs. 0) Incompatible number of blobs for "
        "layer decode4",
        "cdoersch/vae_tutorial/issues/3",
    ),
    _caffe(
        LABELS,
        r"outer_num_ \* inner_num_ == bottom\[1\]->count\(\) \((?P<wanted>\d+) vs\. (?P<given>\d+)\)",
        "F0520 22:22:14.954509  3971 softmax_loss_layer.cpp:47] Check failed: outer_num_ * inner_num_ == "
        "bottom[1]->count() (4900 vs. 100) Number of labels must match number of predictions; e.g., if softmax axis == "
        "1 and prediction shape is (N, C, H, W), label count (number of labels) must be N*H*W, with integer values in "
        "{0, 1, ..., C-1}.",
        "foreverYoungGitHub/MTCNN/issues/22",
    ),
    _caffe(
        LABELS,
        r"bottom\[0\]->(?:num|shape)\(0?\) == bottom\[1\]->(?:num|shape)\(0?\) \((?P<wanted>\d+) vs\. (?P<given>\d+)\) "
        r"The data and label should have the same",
        "F0219 11:23:38.637661 22433 loss_layer.cpp:25] Check failed: bottom[0]->num() == bottom[1]->num() (204 vs. "
        "200) The data and label should have the same number.",
        "BVLC/caffe/issues/6243",
    ),
    _caffe(
        LABELS,
        r"num_priors_ \* (?:num_classes_|loc_classes_ \* 4) == bottom\[\d\]->channels\(\) \((?P<wanted>\d+) vs\. "
        r"(?P<given>\d+)\)",
        "Check failed: num_priors_ * num_classes_ == bottom[1]->channels() (52392 vs. 183372) Number of priors must "
        "match number of confidence predictions.",
        "weiliu89/caffe/issues/567",
    ),
    _caffe(
        CROP,
        r"bottom\[0\]->shape\(i\) - crop_offset >= bottom\[1\]->shape\(i\) \((?P<given>\d+) vs\. (?P<wanted>\d+)\)"
        r"(?: invalid crop parameters in dimension: (?P<axis>\d+))?",
        "F0529 12:11:43.640548 15105 crop_layer.cpp:68] Check failed: bottom[0]->shape(i) - crop_offset >= "
        "bottom[1]->shape(i) (1 vs. 3) invalid crop parameters in dimension: 1",
        "houqb/DSS/issues/1",
    ),
    _caffe(
        CROP,
        r"(?:datum_|img_|input_)(?:width|height) >= crop_size \((?P<given>\d+) vs\. (?P<wanted>\d+)\)",
        "F0720 20:53:58.122177  5991 data_transformer.cpp:467] Check failed: datum_width >= crop_size (3 vs. 224)",
        "BVLC/caffe/issues/4487",
    ),
    _caffe(
        CROP,
        r"(?:crop_size|datum_width|datum_height|img_\w+) == data_mean_\.(?:width|height)\(\) "
        r"\((?P<wanted>\d+) vs\. (?P<given>\d+)\)",
        "F1121 15:29:51.496075 21338 data_transformer.cpp:258] Check failed: crop_size == data_mean_.height() (227 vs. "
        "256)",
        "BVLC/caffe/issues/6064",
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
        JOIN,
        r"Expect: in_types\[0\]\.shape == in_types\[\d+\]\.shape Actual: \((?P<wanted>[\d, ]+)\) != "
        r"\((?P<given>[\d, ]+)\)",
        "chainer.utils.type_check.InvalidType:\nInvalid operation is performed in: MeanSquaredError (Forward)\n\n"
        "Expect: in_types[0].shape == in_types[1].shape\nActual: (1, 256, 119, 119) != (1, 256, 118, 118)",
        "yusuketomoto/chainer-fast-neuralstyle/issues/66",
    ),
    _chainer(
        RESHAPE,
        r"Expect: prod\((?:x|in_types\[0\])\.shape\) == prod\(\((?P<wanted>[-\d, ]+)\)\) Actual: (?P<given>\d+) != \d+",
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
)
