"""Exact reductions over anchors x candidates: what losses read of a similarity matrix, without the matrix."""

from likewise.similarity.dense import log_sum as log_sum
from likewise.similarity.mode import Mode as Mode
from likewise.similarity.mode import using as using
from likewise.similarity.reductions import SINGLE as SINGLE
from likewise.similarity.reductions import attend as attend
from likewise.similarity.reductions import both_cross_entropy as both_cross_entropy
from likewise.similarity.reductions import both_lse as both_lse
from likewise.similarity.reductions import combine as combine
from likewise.similarity.reductions import cross_entropy as cross_entropy
from likewise.similarity.reductions import row_lse as row_lse
from likewise.similarity.reductions import same_sum as same_sum
from likewise.similarity.reductions import sweep as sweep
from likewise.similarity.reductions import unit_rows as unit_rows
from likewise.similarity.reductions import weighted_sum as weighted_sum
from likewise.similarity.rules import Bias as Bias
from likewise.similarity.rules import Columns as Columns
from likewise.similarity.rules import Different as Different
from likewise.similarity.rules import Drop as Drop
from likewise.similarity.rules import Kernel as Kernel
from likewise.similarity.rules import Listed as Listed
from likewise.similarity.rules import ListedBias as ListedBias
from likewise.similarity.rules import Own as Own
from likewise.similarity.rules import Rule as Rule
from likewise.similarity.rules import Same as Same
from likewise.similarity.rules import Self as Self
from likewise.similarity.rules import Term as Term
