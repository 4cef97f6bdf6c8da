"""Network in Network for ImageNet, in Chainer.

Paper: M. Lin, Q. Chen, S. Yan, "Network in Network", ICLR 2014. Each block is a convolution followed by two of 1 x 1;
the last gives one map a class, whose average is the score. Sizes as in chainer/examples/imagenet/nin.py.
"""

import chainer
import chainer.functions as F
import chainer.links as L


class NIN(chainer.Chain):
    """Scores for 1000 classes from an image of 227 x 227; no layer is fully connected."""

    insize = 227

    def __init__(self, n_class=1000):
        super().__init__()
        with self.init_scope():
            self.mlpconv1 = L.MLPConvolution2D(3, (96, 96, 96), ksize=11, stride=4)
            self.mlpconv2 = L.MLPConvolution2D(96, (256, 256, 256), ksize=5, pad=2)
            self.mlpconv3 = L.MLPConvolution2D(256, (384, 384, 384), ksize=3, pad=1)
            self.mlpconv4 = L.MLPConvolution2D(384, (1024, 1024, n_class), ksize=3, pad=1)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.mlpconv1(x)), ksize=3, stride=2)
        h = F.max_pooling_2d(F.relu(self.mlpconv2(h)), ksize=3, stride=2)
        h = F.max_pooling_2d(F.relu(self.mlpconv3(h)), ksize=3, stride=2)
        h = self.mlpconv4(F.dropout(h))
        h = F.average_pooling_2d(h, ksize=h.shape[2:])
        return F.reshape(h, (len(x), -1))
