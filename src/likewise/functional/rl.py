"""Equations of reinforcement learning: density ratios, optimism in low-rank worlds, and the losses of SPR-UCB.

Worlds have ``s`` states, ``a`` actions and ``h`` steps; a trailing axis is added where values follow the last step.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.functional.precision import equation, softplus


@equation
def density_ratio_loss(logit: Float[Tensor, "*n"], real: Bool[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r"""Logistic loss that tells real next states from drawn ones; its minimiser is the log ratio of their densities.

    .. math::  y\log\Big(1 + \frac{1}{\psi(s')^\top\mu(z)}\Big) + (1-y)\log\big(1 + \psi(s')^\top\mu(z)\big)

    with ``logit`` the log of the product and ``real`` y.
    Source: Qiu et al., "Contrastive UCB", arXiv:2207.14800, Eq. 4 (of section 3.1).
    """
    return softplus(torch.where(real, -logit, logit))


@equation
def covariance(
    phi: Float[Tensor, "*k m d"], weight: Float[Tensor, "*k m"], ridge: float = 1.0
) -> Float[Tensor, "*k d d"]:
    """Sum of ``weight * phi phi^T`` over the ``m`` features of each of ``k`` groups, plus ``ridge`` on the diagonal."""
    eye = torch.eye(phi.shape[-1], dtype=phi.dtype, device=phi.device)
    found = (phi * weight[..., None]).mT @ phi + ridge * eye
    return (found + found.mT) / 2


@equation
def elliptical_bonus(
    phi: Float[Tensor, "*k m d"], sigma: Float[Tensor, "*k d d"], weight: float = 1.0
) -> Float[Tensor, "*k m"]:
    r"""``weight`` times the length of a feature in directions that were not seen yet.

    .. math::  \beta(z) = \gamma\sqrt{\phi(z)^\top \Sigma^{-1} \phi(z)}

    A square that rounding made negative (a nearly singular covariance) counts 0.
    """
    solved = torch.linalg.solve(sigma, phi.mT).mT
    return weight * (phi * solved).sum(-1).clamp_min(0).sqrt()


@equation
def backward_induction(
    transition: Float[Tensor, "h s a s"],
    reward: Float[Tensor, "h s a"],
    bonus: Float[Tensor, "h s a"],
    cap: float,
) -> Float[Tensor, "h s a"]:
    """Values of actions from the last step backwards, ``min(reward + bonus + transition V, cap)``; V is their maximum.

    Without bonus, and with a cap that is never reached, the values of the best policy.
    """
    value, out = transition.new_zeros(transition.shape[1]), []
    for step in reversed(range(len(transition))):
        out.append((reward[step] + bonus[step] + transition[step] @ value).clamp_max(cap))
        value = out[-1].amax(1)
    return torch.stack(out[::-1])


@equation
def policy_value(
    transition: Float[Tensor, "h s a s"], reward: Float[Tensor, "h s a"], policy: Float[Tensor, "h s a"]
) -> Float[Tensor, " s"]:
    """What a policy (probabilities of actions by step and state) collects from each state on, exactly."""
    value = transition.new_zeros(transition.shape[1])
    for step in reversed(range(len(transition))):
        value = (policy[step] * (reward[step] + transition[step] @ value)).sum(1)
    return value


@equation
def n_step_bonus(
    bonus: Float[Tensor, "t b"], done: Float[Tensor, "t b"], *, discount: float, steps: int
) -> Float[Tensor, "t b"]:
    r"""Bonuses of ``steps`` steps discounted to the first; 0 where an episode ends at it, or the sequence too early.

    .. math::  B_t = (1 - \mathrm{done}_t)\sum_{u<n}\gamma^u b_{t+u}
    """
    out = torch.zeros_like(bonus)
    last = len(bonus) - steps
    for ahead in range(steps if last > 0 else 0):
        out[:last] += discount**ahead * bonus[ahead : ahead + last]
    return out * (1 - done)


@equation
def c51_target(
    next_prob: Float[Tensor, "b a z"],
    online_prob: Float[Tensor, "b a z"],
    gain: Float[Tensor, " b"],
    keep: Float[Tensor, " b"],
    *,
    low: float = -10.0,
    high: float = 10.0,
) -> Float[Tensor, "b z"]:
    """Distribution of ``gain + keep * value`` of the next state on the atoms from ``low`` to ``high``.

    The next action is the one that the online network values most, its distribution the target network's
    (double distributional Q-learning). Values beyond the ends go to the ends; each is shared by its two neighbours.

    Args:
        next_prob: of the target network, for every action.
        online_prob: of the online network.
        gain: return of n steps, with whatever bonus.
        keep: discount^n, 0 where the episode has ended.
        low: value of the first atom.
        high: value of the last atom.
    """
    count = next_prob.shape[2]
    atoms = torch.linspace(low, high, count, dtype=next_prob.dtype, device=next_prob.device)
    best = (online_prob * atoms).sum(2).argmax(1)
    prob = next_prob[torch.arange(len(best), device=best.device), best]
    at = (gain[:, None] + keep[:, None] * atoms).clamp(low, high)
    share = (1 - (at[:, None, :] - atoms[:, None]).abs() * (count - 1) / (high - low)).clamp(0, 1)
    return (share * prob[:, None, :]).sum(2)


@equation
def c51_loss(
    log_prob: Float[Tensor, "b a z"], action: Int[Tensor, " b"], target: Float[Tensor, "b z"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Cross-entropy of the taken actions' distributions with the target, and their divergence from it (a priority).

    In the divergence, as in the code, no atom of the target has less than 1e-6.
    """
    chosen = log_prob[torch.arange(len(action), device=action.device), action]
    known = target.clamp(1e-6, 1)
    return -(target * chosen).sum(1), (known * (known.log() - chosen)).sum(1)


@equation
def spr_loss(
    predicted: Float[Tensor, "k b j d"], target: Float[Tensor, "k b j d"], *, eps: float = 1e-3
) -> Float[Tensor, "b j"]:
    """Squared distance of unit vectors for each jump, mean over the ``k`` target networks or augmentations."""
    a, b = (torch.nn.functional.normalize(x, dim=-1, eps=eps) for x in (predicted, target))
    return (a - b).square().sum(-1).mean(0)


@equation
def renormalise(latent: Float[Tensor, "*n c i j"], *, eps: float = 1e-5) -> Float[Tensor, "*n c i j"]:
    """Each latent's smallest entry becomes 0 and its largest 1, over channels and positions together."""
    low, high = latent.amin((-3, -2, -1), keepdim=True), latent.amax((-3, -2, -1), keepdim=True)
    return (latent - low) / (high - low + eps)
