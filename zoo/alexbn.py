"""AlexNet with batch normalization after its first two convolutions, in Chainer.

Papers: A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
NIPS 2012; S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015. It stands after conv1 and conv2, where AlexNet has
its normalization after the ReLU; both keep their biases, as in examples/imagenet/alexbn.py of Chainer 1.
"""

import chainer
import chainer.functions as F
import chainer.links as L


class AlexBN(chainer.Chain):
    """Scores for 1000 classes from an image of 227 x 227."""

    insize = 227

    def __init__(self, n_class=1000):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 96, ksize=11, stride=4)
            self.bn1 = L.BatchNormalization(96)
            self.conv2 = L.Convolution2D(96, 256, ksize=5, pad=2)
            self.bn2 = L.BatchNormalization(256)
            self.conv3 = L.Convolution2D(256, 384, ksize=3, pad=1)
            self.conv4 = L.Convolution2D(384, 384, ksize=3, pad=1)
            self.conv5 = L.Convolution2D(384, 256, ksize=3, pad=1)
            self.fc6 = L.Linear(None, 4096)
            self.fc7 = L.Linear(4096, 4096)
            self.fc8 = L.Linear(4096, n_class)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.max_pooling_2d(h, ksize=3, stride=2)
        h = F.relu(self.bn2(self.conv2(h)))
        h = F.max_pooling_2d(h, ksize=3, stride=2)
        h = F.relu(self.conv3(h))
        h = F.relu(self.conv4(h))
        h = F.relu(self.conv5(h))
        h = F.max_pooling_2d(h, ksize=3, stride=2)
        h = F.dropout(F.relu(self.fc6(h)))
        h = F.dropout(F.relu(self.fc7(h)))
        return self.fc8(h)
