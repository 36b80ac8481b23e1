"""The reductions on GPUs: Triton kernels, loaded when rows of a GPU are first compared.

Sums and gradients are in float32. The products are taken

* in bfloat16 or float16 where all rows come in it: nothing is lost, and gradients are rounded to it once;
* else as ``torch.set_float32_matmul_precision`` says: ``"highest"`` (PyTorch's default) multiplies float32 numbers
  without tensor cores, ``"high"`` rounds them to TF32, ``"medium"`` to bfloat16, which is the fastest by far.

``lowering.lower`` decides what runs here; everything else takes the eager path on the same device. Importing this
package imports triton. ``TRITON_INTERPRET=1`` runs the kernels on the CPU, slowly, as the tests do.
"""

from likewise.similarity.backends import Kernels
from likewise.similarity.triton import sweeps

KERNELS = Kernels(sweeps.lse_forward, sweeps.lse_backward, sweeps.attend_forward, sweeps.attend_backward)
