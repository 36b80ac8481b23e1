"""Losses for one's own training loop, see :mod:`likewise.parts.losses`."""

from likewise.parts.losses import CLIP as CLIP
from likewise.parts.losses import DCL as DCL
from likewise.parts.losses import AlignmentUniformity as AlignmentUniformity
from likewise.parts.losses import HardNegative as HardNegative
from likewise.parts.losses import InfoNCE as InfoNCE
from likewise.parts.losses import LogitScale as LogitScale
from likewise.parts.losses import NodeNTXent as NodeNTXent
from likewise.parts.losses import NTXent as NTXent
from likewise.parts.losses import PrototypeNCE as PrototypeNCE
from likewise.parts.losses import SupCon as SupCon
