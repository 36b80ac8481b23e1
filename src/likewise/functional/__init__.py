"""Equations: pure functions of tensors, without state and without randomness. Import them from here."""

from likewise.functional.alignment_uniformity import alignment as alignment
from likewise.functional.alignment_uniformity import uniformity as uniformity
from likewise.functional.decoupled import decoupled_nce as decoupled_nce
from likewise.functional.hard_negative import hard_negative_nce as hard_negative_nce
from likewise.functional.infonce import clip as clip
from likewise.functional.infonce import info_nce as info_nce
from likewise.functional.infonce import nt_xent as nt_xent
from likewise.functional.infonce import prototype_nce as prototype_nce
from likewise.functional.infonce import sup_con as sup_con
from likewise.functional.mixing import mix_pairs as mix_pairs
from likewise.functional.mixing import mix_with_query as mix_with_query
from likewise.functional.nodes import node_info_nce as node_info_nce
from likewise.functional.nodes import node_nt_xent as node_nt_xent
from likewise.functional.precision import check_shapes as check_shapes
from likewise.functional.ranking import bpr as bpr
from likewise.functional.ranking import half_squares as half_squares
from likewise.functional.ranking import table_norms as table_norms
from likewise.functional.redundancy import barlow_twins as barlow_twins
from likewise.functional.redundancy import negative_cosine as negative_cosine
from likewise.functional.redundancy import vicreg as vicreg
from likewise.functional.series import grouped_nt_xent as grouped_nt_xent
from likewise.functional.series import hierarchical_contrast as hierarchical_contrast
from likewise.functional.series import information_kept as information_kept
from likewise.functional.series import local_contrast as local_contrast
from likewise.functional.series import mask_consistency as mask_consistency
from likewise.functional.series import mmd as mmd
