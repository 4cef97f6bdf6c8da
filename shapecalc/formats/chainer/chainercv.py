"""ChainerCV's links and nets that definitions build on, written in Chainer: what extending or calling one means.

Names of links and stages follow chainercv 0.13: chainercv/links/connection/*.py and, below chainercv/links/model,
pickable_sequential_chain.py and {resnet,senet,vgg,ssd}/*.py; chainercv/utils/link.py for what a pretrained model was
made with. What ``pretrained_model`` says is never opened; weights come with ``--weights``.
"""

from __future__ import annotations

from .composites import HEAD

_CONNECTIONS = """
class Conv2DActiv(chainer.Chain):
    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, dilate=1, nobias=False,
                 initialW=None, initial_bias=None, activ=F.relu):
        super().__init__()
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        self.activ = activ
        with self.init_scope():
            self.conv = L.Convolution2D(in_channels, out_channels, ksize, stride, pad, nobias, dilate=dilate)

    def forward(self, x):
        h = self.conv(x)
        return h if self.activ is None else self.activ(h)

class Conv2DBNActiv(chainer.Chain):
    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, dilate=1, groups=1, nobias=True,
                 initialW=None, initial_bias=None, activ=F.relu, bn_kwargs={}):
        super().__init__()
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        self.activ = activ
        with self.init_scope():
            self.conv = L.Convolution2D(
                in_channels, out_channels, ksize, stride, pad, nobias, dilate=dilate, groups=groups)
            self.bn = L.BatchNormalization(out_channels, eps=bn_kwargs.get('eps', 2e-5))

    def forward(self, x):
        h = self.bn(self.conv(x))
        return h if self.activ is None else self.activ(h)

class SeparableConv2DBNActiv(chainer.Chain):
    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, dilate=1, nobias=False, dw_initialW=None,
                 pw_initialW=None, dw_initial_bias=None, pw_initial_bias=None, dw_activ=F.identity, pw_activ=F.relu,
                 bn_kwargs={}):
        super().__init__()
        self.dw_activ, self.pw_activ = dw_activ, pw_activ
        eps = bn_kwargs.get('eps', 2e-5)
        with self.init_scope():
            self.depthwise = L.Convolution2D(
                in_channels, in_channels, ksize, stride, pad, nobias, dilate=dilate, groups=in_channels)
            self.dw_bn = L.BatchNormalization(in_channels, eps=eps)
            self.pointwise = L.Convolution2D(in_channels, out_channels, 1, nobias=nobias)
            self.pw_bn = L.BatchNormalization(out_channels, eps=eps)

    def forward(self, x):
        h = self.dw_bn(self.depthwise(x))
        h = self.pw_bn(self.pointwise(h if self.dw_activ is None else self.dw_activ(h)))
        return h if self.pw_activ is None else self.pw_activ(h)

class SEBlock(chainer.Chain):
    def __init__(self, n_channel, ratio=16):
        super().__init__()
        with self.init_scope():
            self.down = L.Linear(n_channel, n_channel // ratio)
            self.up = L.Linear(n_channel // ratio, n_channel)

    def forward(self, x):
        scale = F.sigmoid(self.up(F.relu(self.down(F.average(x, axis=(2, 3))))))
        return x * F.reshape(scale, (x.shape[0], x.shape[1], 1, 1))
"""

_PICKABLE = """
class PickableSequentialChain(chainer.Chain):
    def __init__(self):
        self.layer_names = []
        self.picked = None
        super().__init__()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if self.within_init_scope and callable(value):
            self.layer_names.append(name)

    @property
    def pick(self):
        return self.picked

    @pick.setter
    def pick(self, names):
        self.picked = names

    def remove_unused(self):
        pass

    def forward(self, x):
        picked = self.layer_names[-1] if self.picked is None else self.picked
        wanted = (picked,) if isinstance(picked, str) else picked
        found = {}
        for name in self.layer_names:
            x = self[name](x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return found[picked] if isinstance(picked, str) else tuple([found[name] for name in picked])
"""

_RESNET = """
class Bottleneck(chainer.Chain):
    def __init__(self, in_channels, mid_channels, out_channels, stride=1, dilate=1, groups=1, initialW=None,
                 bn_kwargs={}, residual_conv=False, stride_first=False, add_seblock=False):
        super().__init__()
        first, second = (stride, 1) if stride_first else (1, stride)
        with self.init_scope():
            self.conv1 = Conv2DBNActiv(in_channels, mid_channels, 1, first, bn_kwargs=bn_kwargs)
            self.conv2 = Conv2DBNActiv(
                mid_channels, mid_channels, 3, second, dilate, dilate, groups, bn_kwargs=bn_kwargs)
            self.conv3 = Conv2DBNActiv(mid_channels, out_channels, 1, activ=None, bn_kwargs=bn_kwargs)
            if add_seblock:
                self.se = SEBlock(out_channels)
            if residual_conv:
                self.residual_conv = Conv2DBNActiv(
                    in_channels, out_channels, 1, stride, activ=None, bn_kwargs=bn_kwargs)

    def forward(self, x):
        h = self.conv3(self.conv2(self.conv1(x)))
        if hasattr(self, 'se'):
            h = self.se(h)
        return F.relu(h + (self.residual_conv(x) if hasattr(self, 'residual_conv') else x))

class ResBlock(PickableSequentialChain):
    def __init__(self, n_layer, in_channels, mid_channels, out_channels, stride, dilate=1, groups=1, initialW=None,
                 bn_kwargs={}, stride_first=False, add_seblock=False):
        super().__init__()
        shared = {'dilate': dilate, 'groups': groups, 'bn_kwargs': bn_kwargs, 'add_seblock': add_seblock}
        with self.init_scope():
            self.a = Bottleneck(in_channels, mid_channels, out_channels, stride, residual_conv=True,
                                stride_first=stride_first, **shared)
            for i in range(1, n_layer):
                setattr(self, 'b%d' % i, Bottleneck(out_channels, mid_channels, out_channels, **shared))

class Residual(PickableSequentialChain):
    def build(self, n_layer, n_class, widths, nobias, **kinds):
        counts = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}[n_layer]
        with self.init_scope():
            self.conv1 = Conv2DBNActiv(None, 64, 7, 2, 3, nobias=nobias)
            self.pool1 = lambda x: F.max_pooling_2d(x, ksize=3, stride=2)
            for i, (count, width) in enumerate(zip(counts, widths)):
                setattr(self, 'res%d' % (i + 2),
                        ResBlock(count, None, width, 256 * 2 ** i, 1 if i == 0 else 2, **kinds))
            self.pool5 = lambda x: F.average(x, axis=(2, 3))
            self.fc6 = L.Linear(None, 1000 if n_class is None else n_class)
            self.prob = F.softmax

class ResNet(Residual):
    def __init__(self, n_layer, n_class=None, pretrained_model=None, mean=None, initialW=None, fc_kwargs={},
                 arch='fb'):
        super().__init__()
        he = {'fb': False, 'he': True}[arch]
        self.build(n_layer, n_class, [64, 128, 256, 512], not he or n_layer != 50, stride_first=he)

class SEResNet(Residual):
    def __init__(self, n_layer, n_class=None, pretrained_model=None, mean=None, initialW=None, fc_kwargs={}):
        super().__init__()
        self.build(n_layer, n_class, [64, 128, 256, 512], True, stride_first=True, add_seblock=True)

class SEResNeXt(Residual):
    def __init__(self, n_layer, n_class=None, pretrained_model=None, mean=None, initialW=None, fc_kwargs={}):
        super().__init__()
        self.build(n_layer, n_class, [128, 256, 512, 1024], True, groups=32, add_seblock=True)
"""

_DEPTHS = "".join(
    f"""
class {base}{depth}({base}):
    def __init__(self, *given, **named):
        super().__init__({depth}, *given, **named)
"""
    for base, depths in (("ResNet", (50, 101, 152)), ("SEResNet", (50, 101, 152)), ("SEResNeXt", (50, 101)))
    for depth in depths
)

_VGG = """
class VGG16(PickableSequentialChain):
    def __init__(self, n_class=None, pretrained_model=None, mean=None, initialW=None, initial_bias=None):
        super().__init__()
        with self.init_scope():
            for block, (count, channels) in enumerate(zip([2, 2, 3, 3, 3], [64, 128, 256, 512, 512]), 1):
                for i in range(1, count + 1):
                    setattr(self, 'conv%d_%d' % (block, i), Conv2DActiv(None, channels, 3, 1, 1))
                setattr(self, 'pool%d' % block, lambda x: F.max_pooling_2d(x, ksize=2))
            for name in ['fc6', 'fc7']:
                setattr(self, name, L.Linear(None, 4096))
                setattr(self, name + '_relu', F.relu)
                setattr(self, name + '_dropout', F.dropout)
            self.fc8 = L.Linear(None, 1000 if n_class is None else n_class)
            self.prob = F.softmax
"""

#: The map that the network body hands on first is normalised and scaled; conv6 and conv7 were fc6 and fc7.
_SSD = """
class Normalize(chainer.Chain):
    def __init__(self, n_channel, initial=0, eps=1e-5):
        super().__init__()
        self.eps = eps
        with self.init_scope():
            self.scale = chainer.Parameter(initial, (n_channel,))

    def forward(self, x):
        return F.normalize(x, self.eps, axis=1) * F.reshape(self.scale, (1, -1, 1, 1))

class Multibox(chainer.Chain):
    def __init__(self, n_class, aspect_ratios, initialW=None, initial_bias=None):
        super().__init__()
        self.n_class = n_class
        self.aspect_ratios = aspect_ratios
        with self.init_scope():
            self.loc = chainer.ChainList()
            self.conf = chainer.ChainList()
        for ratios in aspect_ratios:
            boxes = (len(ratios) + 1) * 2
            self.loc.append(L.Convolution2D(None, boxes * 4, 3, pad=1))
            self.conf.append(L.Convolution2D(None, boxes * n_class, 3, pad=1))

    def rows(self, x, numbers):
        return F.reshape(F.transpose(x, (0, 2, 3, 1)), (x.shape[0], -1, numbers))

    def forward(self, xs):
        places = [self.rows(loc(x), 4) for loc, x in zip(self.loc, xs)]
        scores = [self.rows(conf(x), self.n_class) for conf, x in zip(self.conf, xs)]
        return F.concat(places, axis=1), F.concat(scores, axis=1)

class VGG16(chainer.Chain):
    further = []

    def __init__(self):
        super().__init__()
        below = 3
        with self.init_scope():
            for block, (count, channels) in enumerate(zip([2, 2, 3, 3, 3], [64, 128, 256, 512, 512]), 1):
                for i in range(1, count + 1):
                    setattr(self, 'conv%d_%d' % (block, i), L.Convolution2D(below, channels, 3, pad=1))
                    below = channels
            self.norm4 = Normalize(512)
            self.conv6 = L.Convolution2D(512, 1024, 3, pad=6, dilate=6)
            self.conv7 = L.Convolution2D(1024, 1024, 1)
            below = 1024
            for i, (reduced, channels, ksize, stride, pad) in enumerate(self.further, 8):
                setattr(self, 'conv%d_1' % i, L.Convolution2D(below, reduced, 1))
                setattr(self, 'conv%d_2' % i, L.Convolution2D(reduced, channels, ksize, stride, pad))
                below = channels

    def forward(self, x):
        maps = []
        for block, count in enumerate([2, 2, 3, 3, 3], 1):
            for i in range(1, count + 1):
                x = F.relu(self['conv%d_%d' % (block, i)](x))
            if block == 4:
                maps.append(self.norm4(x))
            x = F.max_pooling_2d(x, 2) if block < 5 else F.max_pooling_2d(x, 3, stride=1, pad=1)
        maps.append(F.relu(self.conv7(F.relu(self.conv6(x)))))
        for i in range(8, 8 + len(self.further)):
            h = F.relu(self['conv%d_1' % i](maps[-1]))
            maps.append(F.relu(self['conv%d_2' % i](h)))
        return maps

class VGG16Extractor300(VGG16):
    insize = 300
    grids = (38, 19, 10, 5, 3, 1)
    further = [(256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 1, 0), (128, 256, 3, 1, 0)]

class VGG16Extractor512(VGG16):
    insize = 512
    grids = (64, 32, 16, 8, 4, 2, 1)
    further = [(256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 4, 1, 1)]

class SSD(chainer.Chain):
    def __init__(self, extractor, multibox, steps, sizes, variance=(0.1, 0.2), mean=0):
        super().__init__()
        self.mean = mean
        with self.init_scope():
            self.extractor = extractor
            self.multibox = multibox
        self.insize = extractor.insize

    @property
    def n_fg_class(self):
        return self.multibox.n_class - 1

    def use_preset(self, preset):
        pass

    def forward(self, x):
        return self.multibox(self.extractor(x))

def boxes(n_fg_class, count):
    ratios = [(2,)] + [(2, 3)] * (count - 3) + [(2,), (2,)]
    return Multibox(21 if n_fg_class is None else n_fg_class + 1, ratios)

class SSD300(SSD):
    def __init__(self, n_fg_class=None, pretrained_model=None):
        super().__init__(VGG16Extractor300(), boxes(n_fg_class, 6), [], [])

class SSD512(SSD):
    def __init__(self, n_fg_class=None, pretrained_model=None):
        super().__init__(VGG16Extractor512(), boxes(n_fg_class, 7), [], [])
"""

#: What a model takes for its arguments: what it is given, else what its pretrained model was made with, else defaults.
_PRETRAINED = """
def prepare_pretrained_model(param, pretrained_model, models, default={}):
    made = models[pretrained_model].get('param', {}) if pretrained_model in models else {}
    taken = {}
    for key, value in param.items():
        if value is None:
            value = made.get(key, default.get(key))
        if value is None:
            raise ValueError('%s must be specified' % key)
        taken[key] = value
    return taken, None
"""

_DEEP = _CONNECTIONS + _PICKABLE + _RESNET + _DEPTHS

#: Names of ``chainercv.links`` and ``chainercv.utils`` -> the text that has them.
CHAINERCV = {
    name: HEAD + text
    for names, text in (
        ("Conv2DActiv Conv2DBNActiv SeparableConv2DBNActiv SEBlock", _CONNECTIONS),
        ("PickableSequentialChain", _PICKABLE),
        ("Bottleneck ResBlock ResNet ResNet50 ResNet101 ResNet152", _DEEP),
        ("SEResNet SEResNet50 SEResNet101 SEResNet152 SEResNeXt SEResNeXt50 SEResNeXt101", _DEEP),
        ("VGG16", _CONNECTIONS + _PICKABLE + _VGG),
        ("Normalize Multibox VGG16Extractor300 VGG16Extractor512 SSD SSD300 SSD512", _SSD),
        ("prepare_pretrained_model", _PRETRAINED),
    )
    for name in names.split()
}
