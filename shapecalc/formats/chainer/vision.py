"""The nets that come with Chainer, written in Chainer: what a definition that extends or calls one of them means.

Names of links, layers and stages follow chainer/links/model/vision/{vgg,resnet,googlenet}.py. What ``pretrained_model``
says is never opened; weights come with ``--weights``. Their own size of image is 224.
"""

from __future__ import annotations

_EXTRACTOR = """
class Extractor(chainer.Chain):
    insize = 224

    @property
    def available_layers(self):
        return list(self.functions.keys())

    def forward(self, x, layers=None, **kwargs):
        wanted = ['prob'] if layers is None else layers
        found = {}
        cached = {}
        h = x
        for name, steps in self.functions.items():
            if all([key in found for key in wanted]):
                break
            h = cached.get(self.starts.get(name), h)
            for step in steps:
                h = step(h)
            cached[name] = h
            if name in wanted:
                found[name] = h
        return found

    starts = {}

    def extract(self, images, layers=None, size=(224, 224), **kwargs):
        return self(images, layers=[self.features] if layers is None else layers)

    def predict(self, images, oversample=True):
        return self(images, layers=['prob'])['prob']
"""

VGG = """
class VGGLayers(Extractor):
    features = 'fc7'

    def __init__(self, pretrained_model='auto', n_layers=16):
        super().__init__()
        self.counts = [2, 2, 3, 3, 3] if n_layers == 16 else [2, 2, 4, 4, 4]
        below = 3
        with self.init_scope():
            for block, (count, channels) in enumerate(zip(self.counts, [64, 128, 256, 512, 512]), 1):
                for i in range(count):
                    setattr(self, 'conv%d_%d' % (block, i + 1), L.Convolution2D(below, channels, 3, 1, 1))
                    below = channels
            self.fc6 = L.Linear(25088, 4096)
            self.fc7 = L.Linear(4096, 4096)
            self.fc8 = L.Linear(4096, 1000)

    @property
    def functions(self):
        stages = {}
        for block, count in enumerate(self.counts, 1):
            for i in range(count):
                name = 'conv%d_%d' % (block, i + 1)
                stages[name] = [self[name], F.relu]
            stages['pool%d' % block] = [lambda x: F.max_pooling_2d(x, ksize=2)]
        stages['fc6'] = [self.fc6, F.relu, F.dropout]
        stages['fc7'] = [self.fc7, F.relu, F.dropout]
        stages['fc8'] = [self.fc8]
        stages['prob'] = [F.softmax]
        return stages

class VGG16Layers(VGGLayers):
    def __init__(self, pretrained_model='auto'):
        super().__init__(pretrained_model, 16)

class VGG19Layers(VGGLayers):
    def __init__(self, pretrained_model='auto'):
        super().__init__(pretrained_model, 19)
"""

RESNET = """
class BottleneckA(chainer.Chain):
    def __init__(self, in_channels, mid_channels, out_channels, stride=2, initialW=None, downsample_fb=False):
        super().__init__()
        first, second = (1, stride) if downsample_fb else (stride, 1)
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_channels, mid_channels, 1, first, 0, nobias=True)
            self.bn1 = L.BatchNormalization(mid_channels)
            self.conv2 = L.Convolution2D(mid_channels, mid_channels, 3, second, 1, nobias=True)
            self.bn2 = L.BatchNormalization(mid_channels)
            self.conv3 = L.Convolution2D(mid_channels, out_channels, 1, 1, 0, nobias=True)
            self.bn3 = L.BatchNormalization(out_channels)
            self.conv4 = L.Convolution2D(in_channels, out_channels, 1, stride, 0, nobias=True)
            self.bn4 = L.BatchNormalization(out_channels)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + self.bn4(self.conv4(x)))

class BottleneckB(chainer.Chain):
    def __init__(self, in_channels, mid_channels, initialW=None):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_channels, mid_channels, 1, 1, 0, nobias=True)
            self.bn1 = L.BatchNormalization(mid_channels)
            self.conv2 = L.Convolution2D(mid_channels, mid_channels, 3, 1, 1, nobias=True)
            self.bn2 = L.BatchNormalization(mid_channels)
            self.conv3 = L.Convolution2D(mid_channels, in_channels, 1, 1, 0, nobias=True)
            self.bn3 = L.BatchNormalization(in_channels)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + x)

class BuildingBlock(chainer.Chain):
    def __init__(self, n_layers=None, in_channels=None, mid_channels=None, out_channels=None, stride=None,
                 initialW=None, downsample_fb=False):
        super().__init__()
        self.names = ['a'] + ['b%d' % i for i in range(1, n_layers)]
        with self.init_scope():
            self.a = BottleneckA(in_channels, mid_channels, out_channels, stride, downsample_fb=downsample_fb)
            for name in self.names[1:]:
                setattr(self, name, BottleneckB(out_channels, mid_channels))

    def forward(self, x):
        for name in self.names:
            x = self[name](x)
        return x

class ResNetLayers(Extractor):
    features = 'pool5'

    def __init__(self, pretrained_model='auto', n_layers=50, downsample_fb=False):
        super().__init__()
        counts = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}[n_layers]
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 64, 7, 2, 3)
            self.bn1 = L.BatchNormalization(64)
            self.res2 = BuildingBlock(counts[0], 64, 64, 256, 1, downsample_fb=downsample_fb)
            self.res3 = BuildingBlock(counts[1], 256, 128, 512, 2, downsample_fb=downsample_fb)
            self.res4 = BuildingBlock(counts[2], 512, 256, 1024, 2, downsample_fb=downsample_fb)
            self.res5 = BuildingBlock(counts[3], 1024, 512, 2048, 2, downsample_fb=downsample_fb)
            self.fc6 = L.Linear(2048, 1000)

    def averaged(self, x):
        h = F.average_pooling_2d(x, x.shape[2:], stride=1)
        return F.reshape(h, x.shape[:2])

    @property
    def functions(self):
        return {
            'conv1': [self.conv1, self.bn1, F.relu],
            'pool1': [lambda x: F.max_pooling_2d(x, ksize=3, stride=2)],
            'res2': [self.res2],
            'res3': [self.res3],
            'res4': [self.res4],
            'res5': [self.res5],
            'pool5': [self.averaged],
            'fc6': [self.fc6],
            'prob': [F.softmax],
        }

class ResNet50Layers(ResNetLayers):
    def __init__(self, pretrained_model='auto', downsample_fb=False):
        super().__init__(pretrained_model, 50, downsample_fb)

class ResNet101Layers(ResNetLayers):
    def __init__(self, pretrained_model='auto', downsample_fb=False):
        super().__init__(pretrained_model, 101, downsample_fb)

class ResNet152Layers(ResNetLayers):
    def __init__(self, pretrained_model='auto', downsample_fb=False):
        super().__init__(pretrained_model, 152, downsample_fb)
"""

GOOGLENET = """
class GoogLeNet(Extractor):
    features = 'pool5'
    starts = {'loss1_fc2': 'inception_4a', 'loss2_fc2': 'inception_4d'}

    def __init__(self, pretrained_model='auto'):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 64, 7, stride=2, pad=3)
            self.conv2_reduce = L.Convolution2D(64, 64, 1)
            self.conv2 = L.Convolution2D(64, 192, 3, pad=1)
            self.inc3a = L.Inception(192, 64, 96, 128, 16, 32, 32)
            self.inc3b = L.Inception(256, 128, 128, 192, 32, 96, 64)
            self.inc4a = L.Inception(480, 192, 96, 208, 16, 48, 64)
            self.inc4b = L.Inception(512, 160, 112, 224, 24, 64, 64)
            self.inc4c = L.Inception(512, 128, 128, 256, 24, 64, 64)
            self.inc4d = L.Inception(512, 112, 144, 288, 32, 64, 64)
            self.inc4e = L.Inception(528, 256, 160, 320, 32, 128, 128)
            self.inc5a = L.Inception(832, 256, 160, 320, 32, 128, 128)
            self.inc5b = L.Inception(832, 384, 192, 384, 48, 128, 128)
            self.loss3_fc = L.Linear(1024, 1000)
            for name, channels in [('loss1', 512), ('loss2', 528)]:
                setattr(self, name + '_conv', L.Convolution2D(channels, 128, 1))
                setattr(self, name + '_fc1', L.Linear(2048, 1024))
                setattr(self, name + '_fc2', L.Linear(1024, 1000))

    def pooled(self, x):
        return F.max_pooling_2d(x, ksize=3, stride=2)

    def normed(self, x):
        return F.local_response_normalization(x, n=5, k=1, alpha=1e-4 / 5)

    def head(self, name):
        return [lambda x: F.average_pooling_2d(x, ksize=5, stride=3), self[name + '_conv'], F.relu,
                self[name + '_fc1'], F.relu, self[name + '_fc2']]

    @property
    def functions(self):
        return {
            'conv1': [self.conv1, F.relu],
            'pool1': [self.pooled, self.normed],
            'conv2_reduce': [self.conv2_reduce, F.relu],
            'conv2': [self.conv2, F.relu, self.normed],
            'pool2': [self.pooled],
            'inception_3a': [self.inc3a],
            'inception_3b': [self.inc3b],
            'pool3': [self.pooled],
            'inception_4a': [self.inc4a],
            'inception_4b': [self.inc4b],
            'inception_4c': [self.inc4c],
            'inception_4d': [self.inc4d],
            'inception_4e': [self.inc4e],
            'pool4': [self.pooled],
            'inception_5a': [self.inc5a],
            'inception_5b': [self.inc5b],
            'pool5': [lambda x: F.average_pooling_2d(x, ksize=7, stride=1)],
            'loss3_fc': [lambda x: F.dropout(x, ratio=0.4), self.loss3_fc],
            'prob': [F.softmax],
            'loss1_fc2': self.head('loss1'),
            'loss2_fc2': self.head('loss2'),
        }
"""

#: Names a definition uses -> the text that has them.
VISION = {
    **dict.fromkeys(("VGGLayers", "VGG16Layers", "VGG19Layers"), _EXTRACTOR + VGG),
    **dict.fromkeys(
        ("ResNetLayers", "ResNet50Layers", "ResNet101Layers", "ResNet152Layers", "BuildingBlock"),
        _EXTRACTOR + RESNET,
    ),
    "GoogLeNet": _EXTRACTOR + GOOGLENET,
}
