"""The fields BVLC Caffe knows (src/caffe/proto/caffe.proto), and those of forks that are read; others are warned of.

Caffe itself ends at an unknown field. Published nets carry the fields of many forks, so here such a field is a warning
with its line, and the rest of the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from .text import Document, Field, Message

_RULE = "phase min_level max_level stage not_stage"
_FILLER = "type value min max mean std sparse variance_norm"
_LAYER = """name type bottom top phase loss_weight param blobs propagate_down include exclude transform_param loss_param
    accuracy_param argmax_param batch_norm_param bias_param clip_param concat_param contrastive_loss_param
    convolution_param crop_param data_param dropout_param dummy_data_param eltwise_param elu_param embed_param exp_param
    flatten_param hdf5_data_param hdf5_output_param hinge_loss_param image_data_param infogain_loss_param
    inner_product_param input_param log_param lrn_param memory_data_param mvn_param parameter_param pooling_param
    power_param prelu_param python_param recurrent_param reduction_param relu_param reshape_param scale_param
    sigmoid_param softmax_param spp_param slice_param swish_param tanh_param threshold_param tile_param
    window_data_param"""

#: Field that holds a message -> the fields of that message. A field that is not a key here may hold anything.
KNOWN = {
    "": "name layer layers input input_shape input_dim force_backward state debug_info",
    "layer": _LAYER,
    "state": "phase level stage",
    "include": _RULE,
    "exclude": _RULE,
    "param": "name share_mode lr_mult decay_mult",
    "input_shape": "dim",
    "shape": "dim",
    "filler": _FILLER,
    "weight_filler": _FILLER,
    "bias_filler": _FILLER,
    "data_filler": _FILLER,
    "transform_param": "scale mirror crop_size mean_file mean_value force_color force_gray",
    "loss_param": "ignore_label normalization normalize",
    "accuracy_param": "top_k axis ignore_label",
    "argmax_param": "out_max_val top_k axis",
    "batch_norm_param": "use_global_stats moving_average_fraction eps",
    "bias_param": "axis num_axes filler",
    "clip_param": "min max",
    "concat_param": "axis concat_dim",
    "contrastive_loss_param": "margin legacy_version",
    "convolution_param": """num_output bias_term pad kernel_size stride dilation pad_h pad_w kernel_h kernel_w stride_h
        stride_w group weight_filler bias_filler engine axis force_nd_im2col""",
    "crop_param": "axis offset",
    "data_param": "source batch_size rand_skip backend scale mean_file crop_size mirror force_encoded_color prefetch",
    "dropout_param": "dropout_ratio",
    "dummy_data_param": "data_filler shape num channels height width",
    "eltwise_param": "operation coeff stable_prod_grad",
    "elu_param": "alpha",
    "embed_param": "num_output input_dim bias_term weight_filler bias_filler",
    "exp_param": "base scale shift",
    "flatten_param": "axis end_axis",
    "hdf5_data_param": "source batch_size shuffle",
    "hdf5_output_param": "file_name",
    "hinge_loss_param": "norm",
    "image_data_param": """source batch_size rand_skip shuffle new_height new_width is_color scale mean_file crop_size
        mirror root_folder""",
    "infogain_loss_param": "source axis",
    "inner_product_param": "num_output bias_term weight_filler bias_filler axis transpose",
    "input_param": "shape",
    "log_param": "base scale shift",
    "lrn_param": "local_size alpha beta norm_region k engine",
    "memory_data_param": "batch_size channels height width",
    "mvn_param": "normalize_variance across_channels eps",
    "parameter_param": "shape",
    "pooling_param": """pool pad pad_h pad_w kernel_size kernel_h kernel_w stride stride_h stride_w engine
        global_pooling round_mode""",
    "power_param": "power scale shift",
    "prelu_param": "filler channel_shared",
    "python_param": "module layer param_str share_in_parallel",
    "recurrent_param": "num_output weight_filler bias_filler debug_info expose_hidden",
    "reduction_param": "operation axis coeff",
    "relu_param": "negative_slope engine",
    "reshape_param": "shape axis num_axes",
    "scale_param": "axis num_axes filler bias_term bias_filler",
    "sigmoid_param": "engine",
    "slice_param": "axis slice_point slice_dim",
    "softmax_param": "engine axis",
    "spp_param": "pyramid_height pool engine",
    "swish_param": "beta",
    "tanh_param": "engine",
    "threshold_param": "threshold",
    "tile_param": "axis tiles",
    "window_data_param": """source scale mean_file batch_size crop_size mirror fg_threshold bg_threshold fg_fraction
        context_pad crop_mode cache_images root_folder""",
}
_KNOWN = {key: frozenset(names.split()) for key, names in KNOWN.items()}

#: Fields of forks that mean something here: (the message they stand in, field) -> what they are read as.
FORKS = {
    ("pooling_param", "ceil_mode"): "true rounds up, false down, as in the forks of DenseNet and SENet",
    ("layer", "permute_param"): "as in the SSD fork",
    ("layer", "norm_param"): "as in the SSD fork",
    ("layer", "prior_box_param"): "as in the SSD fork",
    ("layer", "detection_output_param"): "as in the SSD fork",
    ("layer", "roi_pooling_param"): "as in the Fast R-CNN fork",
    ("layer", "psroi_pooling_param"): "as in the R-FCN fork",
    ("layer", "upsample_param"): "as in the SegNet fork",
    ("layer", "interp_param"): "as in the PSPNet fork",
    ("layer", "bn_param"): "as in the PSPNet and SegNet forks",
    ("layer", "roi_align_param"): "as in the Mask R-CNN fork",
    ("layer", "reorg_param"): "as in the YOLO forks",
    ("layer", "shuffle_channel_param"): "as in the ShuffleNet fork",
    ("layer", "dense_image_data_param"): "as in the SegNet fork",
    ("layer", "video_data_param"): "as in the C3D and TSN forks",
    ("layer", "convolution3d_param"): "as in the C3D fork",
    ("layer", "pooling3d_param"): "as in the C3D fork",
    ("layer", "continuation_indicator_param"): "as in the CRNN fork",
    ("layer", "margin_inner_product_param"): "as in the SphereFace fork",
    ("layer", "inner_distance_param"): "as in the NormFace fork",
    ("layer", "detectnet_groundtruth_param"): "as in the NVCaffe fork",
    ("convolution_param", "kernel_depth"): "as in the C3D fork",
    ("convolution_param", "temporal_pad"): "as in the C3D fork",
    ("convolution_param", "temporal_stride"): "as in the C3D fork",
    ("pooling_param", "kernel_depth"): "as in the C3D fork",
    ("pooling_param", "temporal_stride"): "as in the C3D fork",
    ("image_data_param", "new_length"): "as in the C3D fork",
    ("transform_param", "resize_param"): "as in the SSD fork",
}


def unknown_fields(document: Document, root: Message) -> list[str]:
    """A warning for every field that BVLC Caffe would not know, in the order of the (upgraded) tree."""
    return [f"{document.name}:{field.line}: {_words(key, field)}" for key, field in _strange("", root)]


def _strange(key: str, message: Message) -> Iterator[tuple[str, Field]]:
    known = _KNOWN[key]
    for field in message.fields:
        if field.name not in known:
            yield key, field
        elif isinstance(field.value, Message) and field.name in _KNOWN:
            yield from _strange(field.name, field.value)


def _words(key: str, field: Field) -> str:
    where = f"{key}.{field.name}" if key not in ("", "layer") else field.name
    meaning = FORKS.get((key, field.name))
    if meaning is not None:
        return f"{where} is not BVLC Caffe's; read {meaning}"
    near = get_close_matches(field.name, sorted(_KNOWN[key]), n=1, cutoff=0.75)
    return f"{where} is not a field of BVLC Caffe; ignored" + (f" (did you mean {near[0]}?)" if near else "")
