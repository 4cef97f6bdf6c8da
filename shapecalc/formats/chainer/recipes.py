"""Functions and links of Chainer in terms of simpler ones, as `composites`: arrays, norms, recurrent cells.

Sources: chainer/functions/{array,math,normalization,pooling}, chainer/links/{rnn,connection}, 7.8.1.
"""

from __future__ import annotations

FUNCTIONS = {
    "stack": """
def stack(xs, axis=0):
    return F.concat([F.expand_dims(x, axis) for x in xs], axis)
""",
    "hstack": """
def hstack(xs):
    return F.concat(xs, 0 if xs[0].ndim == 1 else 1)
""",
    "vstack": """
def vstack(xs):
    return F.concat([F.expand_dims(x, 0) for x in xs] if xs[0].ndim == 1 else xs, 0)
""",
    "separate": """
def separate(x, axis=0):
    return [F.squeeze(part, axis) for part in F.split_axis(x, x.shape[axis], axis)]
""",
    "moveaxis": """
def moveaxis(x, source, destination):
    order = [axis for axis in range(x.ndim) if axis != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return F.transpose(x, order)
""",
    "rollaxis": """
def rollaxis(x, axis, start=0):
    axis, start = axis % x.ndim, start % (x.ndim + 1)
    return F.moveaxis(x, axis, start - 1 if start > axis else start)
""",
    "get_item": """
def get_item(x, slices):
    return x[slices]
""",
    "cast": """
def cast(x, typ):
    return F.identity(x)
""",
    "broadcast": """
def broadcast(*args):
    total = args[0]
    for x in args[1:]:
        total = total + x * 0
    return [F.broadcast_to(x, total.shape) for x in args]
""",
    "square": """
def square(x):
    return x ** 2
""",
    "rsqrt": """
def rsqrt(x):
    return 1 / F.sqrt(x)
""",
    "squared_difference": """
def squared_difference(x1, x2):
    return (x1 - x2) ** 2
""",
    "linear_interpolate": """
def linear_interpolate(p, x, y):
    return p * x + (1 - p) * y
""",
    "swish": """
def swish(x, beta):
    return x * F.sigmoid(F.broadcast_to(F.reshape(beta, (1, -1) + (1,) * (x.ndim - 2)), x.shape) * x)
""",
    "logsumexp": """
def logsumexp(x, axis=None):
    return F.log(F.sum(F.exp(x), axis))
""",
    "batch_l2_norm_squared": """
def batch_l2_norm_squared(x):
    return F.sum(F.reshape(x, (len(x), -1)) ** 2, axis=1)
""",
    "normalize": """
def normalize(x, eps=1e-5, axis=1):
    norm = F.sqrt(F.sum(x * x, axis=axis, keepdims=True)) + eps
    return x / norm
""",
    "bias": """
def bias(x, y, axis=1):
    return x + F.reshape(y, tuple(y.shape) + (1,) * (x.ndim - axis - y.ndim))
""",
    "scale": """
def scale(x, y, axis=1):
    return x * F.reshape(y, tuple(y.shape) + (1,) * (x.ndim - axis - y.ndim))
""",
    "depth2space": """
def depth2space(X, r):
    n, c, h, w = X.shape
    y = F.reshape(X, (n, r, r, c // (r * r), h, w))
    return F.reshape(F.transpose(y, (0, 3, 4, 1, 5, 2)), (n, c // (r * r), r * h, r * w))
""",
    "space2depth": """
def space2depth(X, r):
    n, c, h, w = X.shape
    y = F.reshape(X, (n, c, h // r, r, w // r, r))
    return F.reshape(F.transpose(y, (0, 3, 5, 1, 2, 4)), (n, r * r * c, h // r, w // r))
""",
    "spatial_pyramid_pooling_2d": """
import math
def spatial_pyramid_pooling_2d(x, pyramid_height, pooling_class=None, pooling='max', **kwargs):
    n, c, h, w = x.shape
    levels = []
    for level in range(pyramid_height):
        bins = 2 ** level
        kh, kw = math.ceil(h / bins), math.ceil(w / bins)
        pad = ((kh * bins - h) // 2, (kw * bins - w) // 2)
        levels.append(F.reshape(F.max_pooling_2d(x, (kh, kw), (kh, kw), pad), (n, -1, 1, 1)))
    return F.concat(levels)
""",
    "batch_normalization": """
def batch_normalization(x, gamma, beta, eps=2e-5, running_mean=None, running_var=None, decay=0.9, axis=None):
    axis = tuple([i for i in range(x.ndim) if i != 1]) if axis is None else axis
    line = [1 if i in (axis if isinstance(axis, tuple) else (axis,)) else -1 for i in range(x.ndim)]
    mean = F.mean(x, axis=axis, keepdims=True)
    variance = F.mean((x - mean) ** 2, axis=axis, keepdims=True)
    return (x - mean) / F.sqrt(variance + eps) * F.reshape(gamma, line) + F.reshape(beta, line)
""",
    "fixed_batch_normalization": """
def fixed_batch_normalization(x, gamma, beta, mean, var, eps=2e-5, axis=None):
    line = (1, -1) + (1,) * (x.ndim - 2)
    centred = (x - F.reshape(mean, line)) / F.sqrt(F.reshape(var, line) + eps)
    return centred * F.reshape(gamma, line) + F.reshape(beta, line)
""",
    "layer_normalization": """
def layer_normalization(x, gamma, beta, eps=1e-5):
    mean = F.mean(x, axis=1, keepdims=True)
    variance = F.mean((x - mean) ** 2, axis=1, keepdims=True)
    line = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mean) / F.sqrt(variance + eps) * F.reshape(gamma, line) + F.reshape(beta, line)
""",
    "lstm": """
def lstm(c_prev, x):
    gates = F.reshape(x, (x.shape[0], x.shape[1] // 4, 4))
    a, i, f, o = F.tanh(gates[:, :, 0]), F.sigmoid(gates[:, :, 1]), F.sigmoid(gates[:, :, 2]), F.sigmoid(gates[:, :, 3])
    c = a * i if c_prev is None else a * i + f * c_prev
    return c, o * F.tanh(c)
""",
}

LINKS = {
    "EmbedID": """
class EmbedID(chainer.Chain):
    def __init__(self, in_size, out_size, initialW=None, ignore_label=None):
        super().__init__()
        with self.init_scope():
            self.W = chainer.Parameter(initialW, (in_size, out_size))

    def forward(self, x):
        return F.embed_id(x, self.W)
""",
    "LayerNormalization": """
class LayerNormalization(chainer.Chain):
    def __init__(self, size=None, eps=1e-6, initial_gamma=None, initial_beta=None):
        super().__init__()
        self.eps = eps
        with self.init_scope():
            self.gamma = chainer.Parameter(initial_gamma, size)
            self.beta = chainer.Parameter(initial_beta, size)

    def forward(self, x):
        return F.layer_normalization(x, self.gamma, self.beta, self.eps)
""",
    "GroupNormalization": """
class GroupNormalization(chainer.Chain):
    def __init__(self, groups, size=None, eps=1e-5, initial_gamma=None, initial_beta=None):
        super().__init__()
        self.groups = groups
        self.eps = eps
        with self.init_scope():
            self.gamma = chainer.Parameter(initial_gamma, size)
            self.beta = chainer.Parameter(initial_beta, size)

    def forward(self, x):
        return F.group_normalization(x, self.groups, self.gamma, self.beta, self.eps)
""",
    "Swish": """
class Swish(chainer.Chain):
    def __init__(self, beta_shape, beta_init=1.0):
        super().__init__()
        with self.init_scope():
            self.beta = chainer.Parameter(beta_init, beta_shape)

    def forward(self, x):
        return F.swish(x, self.beta)
""",
    "Highway": """
class Highway(chainer.Chain):
    def __init__(self, in_out_size, nobias=False, activate=F.relu, init_Wh=None, init_Wt=None, init_bh=None,
                 init_bt=-1):
        super().__init__()
        self.activate = activate
        with self.init_scope():
            self.plain = L.Linear(in_out_size, in_out_size, nobias=nobias)
            self.transform = L.Linear(in_out_size, in_out_size, nobias=nobias)

    def forward(self, x):
        h, t = self.activate(self.plain(x)), F.sigmoid(self.transform(x))
        return h * t + x * (1 - t)
""",
    "Maxout": """
class Maxout(chainer.Chain):
    def __init__(self, in_size, out_size, pool_size, initialW=None, initial_bias=0):
        super().__init__()
        self.out_size = out_size
        self.pool_size = pool_size
        with self.init_scope():
            self.linear = L.Linear(in_size, out_size * pool_size, nobias=initial_bias is None)

    def forward(self, x):
        return F.maxout(self.linear(x), self.pool_size)
""",
    "StatelessLSTM": """
class StatelessLSTM(chainer.Chain):
    def __init__(self, in_size, out_size=None, lateral_init=None, upward_init=None, bias_init=None,
                 forget_bias_init=None):
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.state_size = out_size
        with self.init_scope():
            self.upward = L.Linear(in_size, 4 * out_size)
            self.lateral = L.Linear(out_size, 4 * out_size, nobias=True)

    def forward(self, c, h, x):
        gates = self.upward(x)
        if h is not None:
            gates = gates + self.lateral(h)
        return F.lstm(c, gates)
""",
    "LSTM": """
class LSTM(chainer.Chain):
    def __init__(self, in_size, out_size=None, lateral_init=None, upward_init=None, bias_init=None,
                 forget_bias_init=None):
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.state_size = out_size
        with self.init_scope():
            self.upward = L.Linear(in_size, 4 * out_size)
            self.lateral = L.Linear(out_size, 4 * out_size, nobias=True)
        self.reset_state()

    def reset_state(self):
        self.c = self.h = None

    def set_state(self, c, h):
        self.c, self.h = c, h

    def forward(self, x):
        gates = self.upward(x)
        if self.h is not None:
            gates = gates + self.lateral(self.h)
        self.c, self.h = F.lstm(self.c, gates)
        return self.h
""",
    "StatelessGRU": """
class StatelessGRU(chainer.Chain):
    def __init__(self, in_size, out_size, init=None, inner_init=None, bias_init=None):
        super().__init__()
        with self.init_scope():
            for name in ['r', 'z']:
                setattr(self, 'W_' + name, L.Linear(in_size, out_size))
                setattr(self, 'U_' + name, L.Linear(out_size, out_size))
            self.W = L.Linear(in_size, out_size)
            self.U = L.Linear(out_size, out_size)

    def forward(self, h, x):
        r = F.sigmoid(self.W_r(x) + self.U_r(h))
        z = F.sigmoid(self.W_z(x) + self.U_z(h))
        return z * F.tanh(self.W(x) + self.U(r * h)) + (1 - z) * h
""",
    "StatefulGRU": """
class StatefulGRU(L.StatelessGRU):
    def __init__(self, in_size, out_size, init=None, inner_init=None, bias_init=0):
        super().__init__(in_size, out_size)
        self.reset_state()

    def reset_state(self):
        self.h = None

    def set_state(self, h):
        self.h = h

    def forward(self, x):
        if self.h is None:
            self.h = F.sigmoid(self.W_z(x)) * F.tanh(self.W(x))
        else:
            self.h = super().forward(self.h, x)
        return self.h
""",
}
LINKS["GRU"] = LINKS["StatefulGRU"].replace("class StatefulGRU", "class GRU")
