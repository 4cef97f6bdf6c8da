"""Records what Keras computes, so that the tests need no Keras: run it where Keras 3 is installed.

    KERAS_BACKEND=jax python -m tests.tools.record_keras

writes tests/data/keras_numeric.json: small models with weights, an input and what comes out. Whole applications are
recorded by `record_keras_models`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy

DATA = Path(__file__).parents[1] / "data"
IMAGE, SEQUENCE, VECTOR = (7, 6, 4), (6, 4), (5,)


def _layers(keras: Any) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Name -> (input shape without the batch, layer)."""
    k = keras.layers
    first = {"data_format": "channels_first"}
    rows: dict[str, tuple[tuple[int, ...], Any]] = {
        "conv valid": (IMAGE, k.Conv2D(5, 3)),
        "conv same stride 2": (IMAGE, k.Conv2D(5, 3, strides=2, padding="same", activation="relu")),
        "conv same even kernel": (IMAGE, k.Conv2D(5, (2, 4), padding="same", use_bias=False)),
        "conv same dilated": (IMAGE, k.Conv2D(5, 3, padding="same", dilation_rate=2)),
        "conv kernel below stride": (IMAGE, k.Conv2D(5, 1, strides=3, padding="same")),
        "conv groups": (IMAGE, k.Conv2D(6, 3, groups=2)),
        "conv softmax": (IMAGE, k.Conv2D(5, 1, activation="softmax")),
        "conv 1d": (SEQUENCE, k.Conv1D(5, 3, strides=2, padding="same")),
        "conv 1d causal": (SEQUENCE, k.Conv1D(5, 2, dilation_rate=2, padding="causal")),
        "conv 3d": ((4, 5, 4, 2), k.Conv3D(3, 2, padding="same", strides=(1, 2, 1))),
        "transposed valid": (IMAGE, k.Conv2DTranspose(3, 3, strides=2)),
        "transposed same": (IMAGE, k.Conv2DTranspose(3, 3, strides=2, padding="same")),
        "transposed same even": (IMAGE, k.Conv2DTranspose(3, 4, strides=2, padding="same")),
        "transposed kernel below stride": (IMAGE, k.Conv2DTranspose(3, 2, strides=3)),
        "transposed same kernel below stride": (IMAGE, k.Conv2DTranspose(3, 2, strides=3, padding="same")),
        "transposed output padding": (IMAGE, k.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)),
        "depthwise": (IMAGE, k.DepthwiseConv2D(3, strides=2, padding="same")),
        "depthwise multiplier": (IMAGE, k.DepthwiseConv2D(3, depth_multiplier=3)),
        "separable": (IMAGE, k.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", activation="tanh")),
        "separable 1d": (SEQUENCE, k.SeparableConv1D(5, 3)),
        "dense": (VECTOR, k.Dense(3, activation="softmax")),
        "dense on a sequence": (SEQUENCE, k.Dense(3)),
        "dense on an image": (IMAGE, k.Dense(3, activation="sigmoid")),
        "batch normalization": (IMAGE, k.BatchNormalization()),
        "batch normalization bare": (IMAGE, k.BatchNormalization(scale=False, center=False, epsilon=1e-2)),
        "batch normalization axis 1": (IMAGE, k.BatchNormalization(axis=1)),
        "batch normalization axis 2": (IMAGE, k.BatchNormalization(axis=2)),
        "batch normalization of vectors": (VECTOR, k.BatchNormalization()),
        "layer normalization": (IMAGE, k.LayerNormalization()),
        "layer normalization bare": (SEQUENCE, k.LayerNormalization(scale=False, center=False)),
        "layer normalization axes": (IMAGE, k.LayerNormalization(axis=[2, 3])),
        "group normalization": (IMAGE, k.GroupNormalization(2)),
        "instance normalization": (IMAGE, k.GroupNormalization(-1, scale=False)),
        "unit normalization": (IMAGE, k.UnitNormalization()),
        "max pooling": (IMAGE, k.MaxPooling2D()),
        "max pooling same": (IMAGE, k.MaxPooling2D(3, strides=2, padding="same")),
        "average pooling same": (IMAGE, k.AveragePooling2D(3, strides=2, padding="same")),
        "average pooling below stride": (IMAGE, k.AveragePooling2D(2, strides=3, padding="same")),
        "average pooling 1d": (SEQUENCE, k.AveragePooling1D(2)),
        "max pooling 3d": ((4, 5, 4, 2), k.MaxPooling3D(2, padding="same")),
        "global average": (IMAGE, k.GlobalAveragePooling2D()),
        "global maximum kept": (IMAGE, k.GlobalMaxPooling2D(keepdims=True)),
        "global average 1d": (SEQUENCE, k.GlobalAveragePooling1D()),
        "zero padding": (IMAGE, k.ZeroPadding2D(((1, 0), (2, 3)))),
        "zero padding 1d": (SEQUENCE, k.ZeroPadding1D((1, 2))),
        "cropping": (IMAGE, k.Cropping2D(((1, 2), (0, 1)))),
        "upsampling": (IMAGE, k.UpSampling2D((2, 3))),
        "upsampling bilinear": (IMAGE, k.UpSampling2D(2, interpolation="bilinear")),
        "upsampling bicubic": (IMAGE, k.UpSampling2D(2, interpolation="bicubic")),
        "upsampling 1d": (SEQUENCE, k.UpSampling1D(3)),
        "resizing": (IMAGE, k.Resizing(5, 9)),
        "resizing nearest": (IMAGE, k.Resizing(5, 9, interpolation="nearest")),
        "center crop": (IMAGE, k.CenterCrop(4, 3)),
        "flatten": (IMAGE, k.Flatten()),
        "reshape": (IMAGE, k.Reshape((-1, 14))),
        "permute": (IMAGE, k.Permute((3, 1, 2))),
        "repeat": (VECTOR, k.RepeatVector(3)),
        "relu": (IMAGE, k.ReLU()),
        "relu 6": (IMAGE, k.ReLU(max_value=6)),
        "relu of everything": (IMAGE, k.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.3)),
        "leaky relu": (IMAGE, k.LeakyReLU(negative_slope=0.1)),
        "elu": (IMAGE, k.ELU(alpha=0.7)),
        "prelu": (IMAGE, k.PReLU()),
        "prelu shared": (IMAGE, k.PReLU(shared_axes=[1, 2])),
        "softmax axis": (IMAGE, k.Softmax(axis=1)),
        "activation of a layer": (IMAGE, k.Activation(k.LeakyReLU(negative_slope=0.1))),
        "rescaling": (IMAGE, k.Rescaling(0.5, offset=-1.0)),
        "rescaling of channels": (IMAGE, k.Rescaling([0.5, 1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0, 3.0])),
        "normalization": (IMAGE, k.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0])),
        "normalization of all": (IMAGE, k.Normalization(axis=None, mean=0.5, variance=2.0)),
        "normalization turned round": (VECTOR, k.Normalization(mean=[0.1] * 5, variance=[2.0] * 5, invert=True)),
        "channels first conv": ((3, 7, 6), k.Conv2D(4, 3, strides=2, padding="same", **first)),
        "channels first flatten": ((3, 2, 4), k.Flatten(**first)),
        "channels first pooling": ((3, 7, 6), k.AveragePooling2D(3, padding="same", **first)),
        "channels first global": ((3, 7, 6), k.GlobalMaxPooling2D(**first)),
        "time distributed": (SEQUENCE, k.TimeDistributed(k.Dense(3, activation="relu"))),
        "lstm": (SEQUENCE, k.LSTM(3)),
        "lstm all steps": (SEQUENCE, k.LSTM(3, return_sequences=True, use_bias=False)),
        "lstm relu hard sigmoid": (SEQUENCE, k.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid")),
        "lstm backwards": (SEQUENCE, k.LSTM(3, return_sequences=True, go_backwards=True)),
        "gru": (SEQUENCE, k.GRU(3)),
        "gru reset before": (SEQUENCE, k.GRU(3, reset_after=False, return_sequences=True)),
        "simple rnn": (SEQUENCE, k.SimpleRNN(3, return_sequences=True)),
        "simple rnn backwards": (SEQUENCE, k.SimpleRNN(3, go_backwards=True)),
        "bidirectional": (SEQUENCE, k.Bidirectional(k.LSTM(3))),
        "bidirectional all steps": (SEQUENCE, k.Bidirectional(k.GRU(3, return_sequences=True))),
        "bidirectional sum": (SEQUENCE, k.Bidirectional(k.LSTM(3, return_sequences=True), merge_mode="sum")),
        "bidirectional average": (SEQUENCE, k.Bidirectional(k.SimpleRNN(3), merge_mode="ave")),
        "bidirectional product": (SEQUENCE, k.Bidirectional(k.LSTM(3), merge_mode="mul")),
        "einsum dense": (SEQUENCE, k.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de")),
        "einsum dense over heads": ((6, 2, 3), k.EinsumDense("...nv,nvo->...o", output_shape=(5,), bias_axes="o")),
    }
    names = (
        "linear sigmoid tanh softplus softsign selu celu exponential gelu silu hard_sigmoid hard_silu hard_tanh "
        "hard_shrink soft_shrink tanh_shrink leaky_relu mish log_sigmoid log_softmax relu6 elu"
    )
    return rows | {f"activation {name}": (VECTOR, k.Activation(name)) for name in names.split()}


def _models(keras: Any) -> Iterator[tuple[str, Any]]:
    """Models of several layers: joins, shared layers, models in models, functions in the graph."""
    k, ops = keras.layers, keras.ops

    def functional(shape: tuple[int, ...], body: Callable[[Any], Any]) -> Any:
        given = keras.Input(shape, name="image")
        return keras.Model(given, body(given))

    def branches(x: Any) -> Any:
        a, b = k.Conv2D(4, 1)(x), k.Conv2D(4, 3, padding="same")(x)
        joined = k.Concatenate()([k.Add()([a, b, x]), k.Multiply()([a, b]), k.Subtract()([a, b])])
        return k.Average()([joined, k.Activation("relu")(joined)])

    def gate(x: Any) -> Any:
        return k.Multiply()([x, k.Reshape((1, 1, 4))(k.Dense(4, activation="sigmoid")(k.GlobalAveragePooling2D()(x)))])

    def shared(x: Any) -> Any:
        layer = k.Conv2D(4, 3, padding="same", activation="tanh", name="twice")
        return layer(layer(x))

    def nested(x: Any) -> Any:
        inner = keras.Sequential([keras.Input((7, 6, 4)), k.Conv2D(4, 3, padding="same", name="c")], name="inner")
        middle = keras.Model(inner.inputs, k.ReLU()(inner.outputs[0]), name="middle")
        return k.Flatten()(middle(middle(x)))

    def functions(x: Any) -> Any:
        y = ops.relu6(x + 3.0) * (1 / 6) - x
        z = ops.mean(ops.transpose(1.0 - y, (0, 3, 1, 2)), axis=[2, 3], keepdims=True)
        return ops.concatenate([ops.squeeze(z, axis=3), ops.expand_dims(ops.max(ops.maximum(y, 0.1), axis=[1, 2]), 2)])

    def ranks(x: Any) -> Any:
        return k.Add()([x, k.Dense(4)(k.GlobalMaxPooling2D()(x)), k.Dense(4)(k.GlobalAveragePooling2D()(x))])

    def product(x: Any) -> Any:
        flat = k.Reshape((42, 4))(x)
        return k.Dot(axes=(1, 1))([flat, k.Dense(3)(flat)])

    def small(x: Any) -> Any:
        x = k.ZeroPadding2D(1)(x)
        x = k.BatchNormalization()(k.Conv2D(6, 3, strides=2, use_bias=False)(x))
        x = k.MaxPooling2D(2, padding="same")(k.ReLU(6.0)(x))
        x = k.Dropout(0.5)(k.SeparableConv2D(8, 3, padding="same")(x))
        return k.Dense(3, activation="softmax")(k.Flatten()(x))

    for name, body in {
        "branches": branches,
        "gate": gate,
        "shared": shared,
        "nested": nested,
        "functions": functions,
        "ranks": ranks,
        "product": product,
        **_sequences(keras),
        "small": small,
    }.items():
        yield name, functional(IMAGE, body)
    yield "several outputs", _several(keras)


def _sequences(keras: Any) -> dict[str, Callable[[Any], Any]]:
    """Models with attention, with recurrent layers that return their states, and with indices."""
    k, ops = keras.layers, keras.ops

    def attention(x: Any) -> Any:
        flat = k.Reshape((42, 4))(x)
        few = k.Reshape((6, 28))(x)
        own = k.MultiHeadAttention(2, 3)(flat, flat)
        other = k.MultiHeadAttention(2, 3, output_shape=4, use_bias=False)(flat, few, few)
        return k.Attention()([k.Add()([own, other]), flat])

    def states(x: Any) -> Any:
        flat = k.Reshape((42, 4))(x)
        every, last, cell = k.LSTM(3, return_sequences=True, return_state=True)(flat)
        _, hidden = k.GRU(3, return_state=True)(every)
        return k.Concatenate()([last, cell, hidden, k.Bidirectional(k.LSTM(2))(every)])

    def indices(x: Any) -> Any:
        a, b = ops.split(x[:, ::2, 1:-1, :], 2, axis=-1)
        both = ops.stack([a, ops.clip(b, -0.5, 0.5)], axis=-1)[..., -1, :]
        wide = ops.repeat(ops.swapaxes(both, 1, 2), 3, axis=1)[:, None, 1:]
        return ops.image.resize(ops.squeeze(wide, 1), (5, 9)) * ops.rsqrt(4.0 + ops.square(x[:, :1, :1, :2]))

    return {"attention": attention, "states": states, "indices": indices}


def _told(keras: Any) -> Iterator[tuple[str, Any]]:
    """Layers on several sequences: states that recurrent ones start from, attention of every kind."""
    k = keras.layers
    steps, state, other = (6, 4), (3,), (5, 4)

    def lstm(x: Any, *states: Any) -> Any:
        return k.LSTM(3, return_sequences=True)(x, initial_state=list(states))

    def gru(x: Any, hidden: Any) -> Any:
        return k.GRU(3)(x, initial_state=hidden)

    def backwards(x: Any, hidden: Any) -> Any:
        return k.SimpleRNN(3, return_sequences=True, go_backwards=True)(x, initial_state=hidden)

    def decoder(x: Any, y: Any) -> Any:
        return lstm(y, *k.LSTM(3, return_state=True)(x)[1:])

    def both(x: Any, *states: Any) -> Any:
        return k.Bidirectional(k.LSTM(3, return_state=True, return_sequences=True))(x, initial_state=list(states))

    def ends(x: Any) -> Any:
        return k.Bidirectional(k.GRU(3, return_state=True))(x)

    def earlier(query: Any, value: Any) -> Any:
        return k.Attention()([query, value], use_causal_mask=True)

    def shared(query: Any, value: Any) -> Any:
        return k.GroupQueryAttention(head_dim=3, num_query_heads=4, num_key_value_heads=2)(query, value)

    rows: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
        "LSTM that is told its states": ((steps, state, state), lstm),
        "GRU that is told its state": ((steps, state), gru),
        "SimpleRNN that is told its state, backwards": ((steps, state), backwards),
        "encoder and decoder": ((steps, other), decoder),
        "both directions with states": ((steps, state, state, state, state), both),
        "both directions give their states": ((steps,), ends),
        "attention with a scale": ((steps, other), lambda *x: k.Attention(use_scale=True)(list(x))),
        "attention of sums": ((steps, other), lambda *x: k.Attention(score_mode="concat")(list(x))),
        "attention of scaled sums": (
            (steps, other, other),
            lambda *x: k.Attention(score_mode="concat", use_scale=True)(list(x)),
        ),
        "attention to earlier steps": ((steps, steps), earlier),
        "additive attention": ((steps, other), lambda *x: k.AdditiveAttention()(list(x))),
        "additive attention without a scale": (
            (steps, other),
            lambda *x: k.AdditiveAttention(use_scale=False)(list(x)),
        ),
        "heads that look at earlier steps": (
            (steps,),
            lambda x: k.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
        ),
        "heads that share keys": ((steps, other), shared),
        **_films(keras),
    }
    for name, (shapes, body) in rows.items():
        given = [keras.Input(shape, name=f"i{place}") for place, shape in enumerate(shapes)]
        yield name, keras.Model(given, body(*given))


def _films(keras: Any) -> dict[str, tuple[tuple[Any, ...], Callable[..., Any]]]:
    """Layers on images one after the other."""
    k, film = keras.layers, (3, 7, 6, 2)

    def backwards(x: Any) -> Any:
        settings = {"go_backwards": True, "return_sequences": True, "return_state": True}
        return k.ConvLSTM2D(2, 3, dilation_rate=2, recurrent_activation="hard_sigmoid", **settings)(x)

    def strided(x: Any) -> Any:
        return k.ConvLSTM2D(3, (2, 3), strides=2, padding="same", return_sequences=True, use_bias=False)(x)

    def layers(x: Any) -> Any:
        normal = k.TimeDistributed(k.BatchNormalization())(x)
        return k.LSTM(2)(k.TimeDistributed(k.Flatten())(k.TimeDistributed(k.MaxPooling2D())(normal)))

    def model(x: Any) -> Any:
        inner = keras.Sequential([keras.Input((7, 6, 2)), k.Conv2D(3, 3), k.GlobalAveragePooling2D()])
        return k.GRU(2)(k.TimeDistributed(inner)(x))

    return {
        "ConvLSTM": ((film,), lambda x: k.ConvLSTM2D(3, 3)(x)),
        "ConvLSTM of all steps, same, strided": ((film,), strided),
        "ConvLSTM backwards with states": ((film,), backwards),
        "ConvLSTM in one dimension": (((4, 7, 2),), lambda x: k.ConvLSTM1D(3, 2)(x)),
        "ConvLSTM in three dimensions": (((2, 4, 3, 4, 2),), lambda x: k.ConvLSTM3D(2, 2, padding="same")(x)),
        "time distributed convolution": (
            (film,),
            lambda x: k.TimeDistributed(k.Conv2D(3, 3, strides=2, activation="relu"))(x),
        ),
        "time distributed layers": ((film,), layers),
        "time distributed model": ((film,), model),
    }


def _several(keras: Any) -> Any:
    k = keras.layers
    a, b = keras.Input((4, 4, 2), name="a"), keras.Input((4, 4, 2), name="b")
    both = k.Concatenate(axis=-1)([a, b])
    return keras.Model([a, b], [k.Conv2D(2, 2, name="left")(both), k.GlobalAveragePooling2D(name="right")(both)])


def _embedding(keras: Any) -> Any:
    given = keras.Input((5,), dtype="int32", name="words")
    return keras.Model(given, keras.layers.Embedding(7, 3)(given))


#: Settings whose values say nothing of what is computed.
DROPPED = ("initializer", "regularizer", "constraint")


def shorter(value: Any) -> Any:
    """A definition without what says nothing of what is computed."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if not key.endswith(DROPPED) and not _is_policy(key, item)}
        return {key: shorter(item) for key, item in kept.items()}
    return [shorter(item) for item in value] if isinstance(value, list) else value


def _is_policy(key: str, value: Any) -> bool:
    return key == "dtype" and isinstance(value, dict)


def _blob(array: Any) -> dict[str, Any]:
    flat = numpy.asarray(array)
    values = [float(f"{v:.7g}") for v in flat.reshape(-1).tolist()] if flat.dtype.kind == "f" else flat.reshape(-1)
    return {"shape": list(flat.shape), "data": list(map(float, values))}


def weights_of(layers: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every weight under the name it has here: the layer's path and its own name."""
    for layer in layers:
        inner = getattr(layer, "layer", None)
        if inner is not None and type(layer).__name__ == "TimeDistributed" and hasattr(inner, "layers"):
            yield from weights_of(inner.layers, f"{prefix}{layer.name}/")
        elif hasattr(layer, "layers"):
            yield from weights_of(layer.layers, f"{prefix}{layer.name}/")
        else:
            yield from ((f"{prefix}{layer.name}/{_name_of(layer, w)}", w) for w in getattr(layer, "weights", ()))


def _name_of(layer: Any, weight: Any) -> str:
    """A weight's name in its layer; the cell of a recurrent layer and the layer in a wrapper go without saying."""
    if type(layer).__name__ == "LayerScale":  # whose one weight has no name of its own, but "variable_17"
        return "gamma"
    path = getattr(weight, "path", weight.name).partition(":")[0]  # Keras 2 has no path: "conv/kernel:0"
    inside = path.rpartition(f"{layer.name}/")[2].split("/")
    kept = [part for part in inside if not part.endswith("_cell")]
    return "/".join(kept[-1:] if type(layer).__name__ == "TimeDistributed" else kept)


def _recorded(keras: Any, name: str, model: Any, batch: int = 2) -> dict[str, Any]:
    chance = numpy.random.default_rng(len(name))
    for path, variable in weights_of(model.layers):
        low = 0.5 if path.endswith(("variance", "gamma")) else -0.5
        variable.assign(chance.uniform(low, low + 1.0, variable.shape).astype("float32").round(3))
    images = {}
    for given in model.inputs:
        shape = (batch, *given.shape[1:])
        real = "float" in str(given.dtype)
        noise = chance.standard_normal(shape) * 2 if real else chance.integers(0, 6, shape)
        images[given.name] = noise.astype("float32" if real else "int32").round(3)
    got = model(list(images.values()) if len(images) > 1 else next(iter(images.values())))
    outputs = got if isinstance(got, (list, tuple)) else [got]
    return {
        "name": name,
        "model": json.dumps(shorter(json.loads(model.to_json())), separators=(",", ":")),
        "weights": {path: _blob(variable.numpy()) for path, variable in weights_of(model.layers)},
        "inputs": {key: _blob(value) for key, value in images.items()},
        "outputs": [_blob(keras.ops.convert_to_numpy(value)) for value in outputs],
    }


def main() -> None:
    """The whole file."""
    import keras  # type: ignore[import-not-found,unused-ignore]

    rows = []
    for name, (shape, layer) in _layers(keras).items():
        rows.append(_recorded(keras, name, keras.Sequential([keras.Input(shape, name="image"), layer]), 1))
    rows += [_recorded(keras, name, model) for name, model in (*_models(keras), *_told(keras))]
    rows.append(_recorded(keras, "embedding", _embedding(keras)))
    text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (DATA / "keras_numeric.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
