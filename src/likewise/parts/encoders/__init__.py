"""Networks from a view to ``(n, dim)`` features. Importing this package makes every encoder known by name."""

from likewise.parts.encoders.convnet import ConvNet
from likewise.parts.encoders.dilated import Dilated
from likewise.parts.encoders.gcn import GCN
from likewise.parts.encoders.gpt import GPT
from likewise.parts.encoders.mlp import MLPEncoder
from likewise.parts.encoders.resnet import ResNet, resnet18, resnet50
from likewise.parts.encoders.sr import EDSR
from likewise.parts.encoders.timm import Timm
from likewise.parts.encoders.vit import ViT

__all__ = ["EDSR", "GCN", "GPT", "ConvNet", "Dilated", "MLPEncoder", "ResNet", "Timm", "ViT", "resnet18", "resnet50"]
