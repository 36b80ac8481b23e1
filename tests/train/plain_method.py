"""A method from outside the package whose rows do not mix: SimCLR without any batch norm."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.sources import digits
from likewise.parts.encoders import ConvNet
from likewise.parts.heads import mlp
from likewise.parts.losses import NTXent
from likewise.parts.optimizers import sgd
from likewise.parts.schedules import cosine
from likewise.views.image import simclr_views


@register(
    Card(
        slug="plain",
        title="A method for tests",
        name="Plain",
        paper="arXiv:2002.05709",
        year=2020,
        modality="image",
        task="tests",
        contrasts="two crops",
        pick="Never.",
        equation=r"\mathcal{L}",
        traits=Traits(row_independent=True),
    )
)
class Plain(Learner):
    """SimCLR without batch norm."""

    def __init__(self, encoder: Encoder, *, dim: int = 16, temperature: float = 0.2) -> None:
        super().__init__()
        self.encoder, self.head = encoder, mlp(encoder.dim, 32, dim, norm="none")
        self.loss = NTXent(temperature)

    def encode(self, batch: Batch) -> Embeddings:
        return {role: self.head(self.encoder(view)) for role, view in batch.views.items()}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        return Step(self.loss(z["a"], z["b"], ids=batch.ids, comm=comm))


@recipe(Plain)
def tiny() -> Recipe:
    return Recipe(
        spec(Plain, encoder=spec(ConvNet, dim=16, norm="none")),
        data=spec(digits),
        views=spec(simclr_views, strength=0.5, blur_prob=0.0, flip=False),
        optimizer=spec(sgd, lr=0.05),
        schedule=spec(cosine),
        batch=32,
        steps=10,
    )
