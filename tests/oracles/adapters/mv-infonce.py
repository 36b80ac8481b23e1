"""The losses of pakoromilas/Multi-View-CL; rows come raw, stacked view by view."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import normalize

from likewise import functional
from likewise.testing.oracle import Answer, Case, equation


def answer(case: Case, name: str, loss: Callable[..., Tensor]) -> Answer:
    views = list(normalize(case.leaf("z"), dim=1).chunk(case.number("n_views")))
    return case.answer(name, loss(views, case.number("temperature")).mean())


def nt_xent(temperature: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: functional.nt_xent(a, b, temperature=temperature)


@equation("mvinfonce_*")
def mv_info_nce(case: Case) -> Answer:
    return answer(case, "mvinfonce", lambda views, tau: functional.mv_info_nce(views, temperature=tau, variant="code"))


@equation("mvdhel_*")
def mv_dhel(case: Case) -> Answer:
    return answer(case, "mvdhel", lambda views, tau: functional.mv_dhel(views, temperature=tau))


@equation("pwe_ntxent_*")
def pairs(case: Case) -> Answer:
    return answer(case, "pwe_ntxent", lambda views, tau: functional.pairwise(views, nt_xent(tau)))


@equation("pwe_dhel_*")
def pairs_of_dhel(case: Case) -> Answer:
    def dhel(tau: float) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda a, b: functional.mv_dhel([a, b], temperature=tau)

    return answer(case, "pwe_dhel", lambda views, tau: functional.pairwise(views, dhel(tau)))


@equation("pvc_geometric_*")
def poly_view(case: Case) -> Answer:
    return answer(case, "pvc_geometric", lambda views, tau: functional.poly_view_nce(views, temperature=tau))


@equation("avg_ntxent_*")
def means(case: Case) -> Answer:
    return answer(case, "avg_ntxent", lambda views, tau: functional.against_mean(views, nt_xent(tau)))
