"""A scikit-learn transformer: learn an embedding of the rows of X, supervised or not, inside a pipeline."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from likewise.core import registry
from likewise.core.learner import Learner
from likewise.core.recipe import spec
from likewise.data.dataset import Dataset
from likewise.evaluate.features import extract
from likewise.train.plan import Plan, prepare
from likewise.train.runtime import LocalRuntime
from likewise.train.trainer import Trainer


class Contrastive(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embedding of the rows of X by a contrastive method.

    Rows are feature vectors, or images given flat with ``image_shape``. Vectors are standardised and corrupted
    (:class:`likewise.views.vector.Vectors`), images get the method's own views.

    Args:
        method: slug, as in ``likewise methods``.
        epochs: passes over the rows.
        batch: rows per step; at most as many as there are.
        image_shape: ``(h, w)`` or ``(h, w, channels)`` of each row, values 0 to 255; None for feature vectors.
        settings: other settings by path, ``{"temperature": 0.2, "learner.encoder.dim": 32}``.
        random_state: seed.
        verbose: show progress.

    Attributes:
        embedding_dim_: columns of what ``transform`` returns.
        n_features_in_: columns of X.
    """

    def __init__(
        self,
        method: str = "simclr",
        *,
        epochs: float = 20,
        batch: int = 256,
        image_shape: tuple[int, ...] | None = None,
        settings: dict[str, Any] | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.epochs = epochs
        self.batch = batch
        self.image_shape = image_shape
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "Contrastive":
        """Learn from the rows of X ``(n, f)``; y ``(n,)`` are classes, which only supervised methods look at."""
        method = registry.load(self.method)
        supervised = "labels" in method.card.traits.needs
        if supervised and y is None:
            raise ValueError(f"Contrastive: {self.method} requires y to be passed, but the target y is None")
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        labels, classes = None, None
        if supervised:
            check_classification_targets(y)
            found, codes = np.unique(np.asarray(y), return_inverse=True)
            labels, classes = torch.as_tensor(codes.ravel()), [str(c) for c in found]
        self.mean_, self.scale_ = X.mean(0), X.std(0)
        self.scale_[self.scale_ < 1e-12] = 1.0
        dataset = self._dataset(X)
        dataset.labels, dataset.classes = labels, classes
        settings: list[tuple[str, Any]] = [
            ("epochs", self.epochs),
            ("batch", min(self.batch, len(X))),
            ("probe_every", 0),
        ]
        if self.image_shape is None:
            from likewise.parts.encoders.mlp import MLPEncoder
            from likewise.views.vector import Vectors

            settings += [("learner.encoder", spec(MLPEncoder)), ("views", spec(Vectors))]
        settings += list((self.settings or {}).items())
        plan = prepare(method, data=dataset, seed=self.random_state, settings=settings)
        with tempfile.TemporaryDirectory(prefix="likewise-") as folder:
            trainer = Trainer(plan, Path(folder), LocalRuntime(), display=self._display())
            self._plan, self._learner = plan, self._for_use(trainer.fit())
        plan._dataset = None  # the rows belong to the caller
        self.embedding_dim_ = self.transform(X[:1]).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embeddings ``(n, embedding_dim_)`` of the rows of X."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        dataset = self._dataset(X, torch.float64)
        return extract(self._learner, self._plan.views(), dataset, torch.arange(len(X)), device="cpu").float().numpy()

    def _for_use(self, learner: Learner) -> Learner:
        # vectors in float64: a row's float32 embedding must not depend on how many rows come with it
        learner = learner.cpu().eval()
        return learner.double() if self.image_shape is None else learner

    def _dataset(self, X: np.ndarray, dtype: torch.dtype = torch.float32) -> Dataset:
        keys, test = range(len(X)), torch.zeros(len(X), dtype=torch.bool)
        if self.image_shape is None:
            column = torch.from_numpy((X - self.mean_) / self.scale_).to(dtype)
            return Dataset("X", {"vector": column}, [str(k) for k in keys], test)
        h, w, channels = (*self.image_shape, 1)[:3]
        if h * w * channels != X.shape[1]:
            raise ValueError(
                f"Contrastive: image_shape={self.image_shape} has {h * w * channels} values, X {X.shape[1]}"
            )
        image = torch.from_numpy(X.clip(0, 255).astype(np.uint8)).view(-1, h, w, channels).permute(0, 3, 1, 2)
        return Dataset("X", {"image": image.contiguous()}, [str(k) for k in keys], test)

    def _display(self) -> Any:
        from likewise.train.display import make_display

        return make_display(quiet=not self.verbose)

    @property
    def _n_features_out(self) -> int:
        return self.embedding_dim_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        try:
            tags.target_tags.required = "labels" in registry.listing(self.method).card.traits.needs
        except ValueError:
            tags.target_tags.required = False  # an unknown method is reported by fit
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # weights and recipe instead of objects: what is loaded is checked like a run folder
        state = dict(super().__getstate__())
        if "_learner" in state:
            weights = {k: v.numpy() for k, v in state.pop("_learner").state_dict().items()}
            plan = state.pop("_plan")
            state["_saved"] = {"plan": plan.to_json(), "weights": weights}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_saved", None)
        super().__setstate__(state)
        if saved is not None:
            self._plan = Plan.from_json(saved["plan"])
            self._learner = self._for_use(self._plan.learner())
            self._learner.load_state_dict({k: torch.as_tensor(v) for k, v in saved["weights"].items()})
