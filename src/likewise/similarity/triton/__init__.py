"""The reductions on GPUs: Triton kernels, loaded when rows of a GPU are first compared.

Importing this package imports triton. ``TRITON_INTERPRET=1`` runs the kernels on the CPU, slowly, as the tests do.
"""

from likewise.similarity.backends import Kernels
from likewise.similarity.triton import sweeps

KERNELS = Kernels(sweeps.lse_forward, sweeps.lse_backward, sweeps.attend_forward, sweeps.attend_backward)
