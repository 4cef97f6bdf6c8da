"""LeNet for handwritten digits, in Chainer.

Paper: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings
of the IEEE 86 (1998). Sizes and rectifier as in Caffe's examples/mnist/lenet.prototxt: 20 and 50 filters of 5 x 5 on
28 x 28 gray pixels.
"""

import chainer
import chainer.functions as F
import chainer.links as L


class LeNet(chainer.Chain):
    """Scores for 10 digits from a gray image of 28 x 28."""

    insize = 28

    def __init__(self, n_class=10):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(1, 20, ksize=5)
            self.conv2 = L.Convolution2D(20, 50, ksize=5)
            self.fc3 = L.Linear(None, 500)
            self.fc4 = L.Linear(500, n_class)

    def forward(self, x):
        h = F.max_pooling_2d(self.conv1(x), ksize=2, stride=2)
        h = F.max_pooling_2d(self.conv2(h), ksize=2, stride=2)
        h = F.relu(self.fc3(h))
        return self.fc4(h)
