"""Links and functions of Chainer that are made of others, written in Chainer and read like any definition.

Shapes and names of children follow chainer/links/connection/{inception,inceptionbn,mlp_convolution_2d}.py and
chainer/functions; each text is read when a definition first uses its name.
"""

from __future__ import annotations

from . import recipes
from .vision import VISION

HEAD = """
import chainer
import chainer.functions as F
import chainer.links as L
"""

INCEPTION = """
class Inception(chainer.Chain):
    def __init__(self, in_channels, out1, proj3, out3, proj5, out5, proj_pool, conv_init=None, bias_init=None):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_channels, out1, 1)
            self.proj3 = L.Convolution2D(in_channels, proj3, 1)
            self.conv3 = L.Convolution2D(proj3, out3, 3, pad=1)
            self.proj5 = L.Convolution2D(in_channels, proj5, 1)
            self.conv5 = L.Convolution2D(proj5, out5, 5, pad=2)
            self.projp = L.Convolution2D(in_channels, proj_pool, 1)

    def forward(self, x):
        branches = [self.conv1(x)]
        branches.append(self.conv3(F.relu(self.proj3(x))))
        branches.append(self.conv5(F.relu(self.proj5(x))))
        branches.append(self.projp(F.max_pooling_2d(x, 3, stride=1, pad=1)))
        return F.relu(F.concat(branches))
"""

#: Without out1 there is no first branch, without proj_pool the pooled input goes on as it is; the maximum does not
#: cover all, so that the branches agree.
INCEPTION_BN = """
class InceptionBN(chainer.Chain):
    def __init__(self, in_channels, out1, proj3, out3, proj33, out33, pooltype, proj_pool=None, stride=1,
                 conv_init=None, dtype=None):
        super().__init__()
        self.pooltype = pooltype
        self.stride = stride
        self.branches = []
        with self.init_scope():
            if out1 > 0:
                self.add('conv1', in_channels, out1, 1)
                self.branches.append(['conv1'])
            self.add('proj3', in_channels, proj3, 1)
            self.add('conv3', proj3, out3, 3, pad=1, stride=stride)
            self.add('proj33', in_channels, proj33, 1)
            self.add('conv33a', proj33, out33, 3, pad=1)
            self.add('conv33b', out33, out33, 3, pad=1, stride=stride)
            self.branches += [['proj3', 'conv3'], ['proj33', 'conv33a', 'conv33b']]
            self.pooled = []
            if proj_pool is not None:
                self.add('poolp', in_channels, proj_pool, 1)
                self.pooled.append('poolp')

    def add(self, name, inputs, outputs, ksize, **geometry):
        setattr(self, name, L.Convolution2D(inputs, outputs, ksize, nobias=True, **geometry))
        setattr(self, name + 'n', L.BatchNormalization(outputs))

    def follow(self, h, names):
        for name in names:
            h = F.relu(self[name + 'n'](self[name](h)))
        return h

    def forward(self, x):
        outs = [self.follow(x, names) for names in self.branches]
        if self.pooltype == 'max':
            h = F.max_pooling_2d(x, 3, stride=self.stride, pad=1, cover_all=False)
        else:
            h = F.average_pooling_2d(x, 3, stride=self.stride, pad=1)
        return F.concat([*outs, self.follow(h, self.pooled)])
"""

MLP_CONVOLUTION = """
class MLPConvolution2D(chainer.ChainList):
    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, activation=F.relu,
                 conv_init=None, bias_init=None):
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        super().__init__(L.Convolution2D(in_channels, out_channels[0], ksize, stride, pad))
        for below, outputs in zip(out_channels, out_channels[1:]):
            self.append(L.Convolution2D(below, outputs, 1))
        self.activation = activation

    def forward(self, x):
        for link in self[:-1]:
            x = self.activation(link(x))
        return self[-1](x)
"""

#: L.Classifier without its loss: what is asked of it here is the network inside.
CLASSIFIER = """
class Classifier(chainer.Chain):
    def __init__(self, predictor, lossfun=F.softmax_cross_entropy, accfun=F.accuracy, label_key=-1):
        super().__init__()
        self.lossfun = lossfun
        with self.init_scope():
            self.predictor = predictor

    def forward(self, x, t=None):
        y = self.predictor(x)
        return y if t is None else self.lossfun(y, t)
"""

CRELU = """
def crelu(x, axis=1):
    return F.concat([F.relu(x), F.relu(-x)], axis=axis)
"""

MAXOUT = """
def maxout(x, pool_size, axis=1):
    shape = x.shape
    split = (*shape[:axis], shape[axis] // pool_size, pool_size, *shape[axis + 1:])
    return F.max(F.reshape(x, split), axis=axis + 1)
"""

COMPOSITES = {
    name: HEAD + text
    for name, text in (
        ("Inception", INCEPTION),
        ("InceptionBN", INCEPTION_BN),
        ("MLPConvolution2D", MLP_CONVOLUTION),
        ("Classifier", CLASSIFIER),
        ("crelu", CRELU),
        ("maxout", MAXOUT),
        *recipes.FUNCTIONS.items(),
        *recipes.LINKS.items(),
        *VISION.items(),
    )
}
