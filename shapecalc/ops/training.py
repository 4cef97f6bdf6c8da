"""What a training definition ends in: losses and accuracies. They are traced and never written to ONNX."""

from __future__ import annotations

from .base import Call, Operator, Shapes, register, same_shape


def _scalar(call: Call) -> Shapes:
    """One number, or one a label; a second output has the shape of the scores (Caffe's probabilities)."""
    shapes = [call.shape(1) if call.attr("reduction", "mean") == "none" else ()]
    return [*shapes, *[call.shape()] * (len(call.node.outputs) - 1)][: len(call.node.outputs)]


def _accuracy(call: Call) -> Shapes:
    """Caffe's Accuracy: one number, and per class as a second output."""
    return [(), (call.shape()[1],)][: len(call.node.outputs)]


def _nothing(call: Call) -> Shapes:
    return []


#: Operators that exist for training only: dropped when a definition is written as ONNX.
TRAINING = frozenset({"SoftmaxCrossEntropyLoss", "Loss", "Accuracy", "Silence"})

register(
    Operator(
        "SoftmaxCrossEntropyLoss", _scalar, source="ONNX SoftmaxCrossEntropyLoss-13; Caffe softmax_loss_layer.cpp"
    ),
    Operator("NegativeLogLikelihoodLoss", _scalar, source="ONNX NegativeLogLikelihoodLoss-22"),
    Operator("Loss", _scalar, source="Caffe loss_layer.cpp: a 0-D scalar"),
    Operator("Accuracy", _accuracy, source="Caffe accuracy_layer.cpp"),
    Operator("Silence", _nothing, source="Caffe silence_layer.cpp"),
    Operator("Input", same_shape, source="a value fed from outside"),
)
