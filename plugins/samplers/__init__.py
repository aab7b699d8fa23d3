"""The built-in samplers."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import SamplerSpec, hookimpl
from plugins.samplers.multistep import dpmpp_3m, dpmpp_3m_sde, stork4
from plugins.samplers.ode import dpmpp_2m, euler, heun
from plugins.samplers.stochastic import dpmpp_2m_sde, sde

SAMPLERS = (
    SamplerSpec(name="euler", run=euler, summary="Plain steps along the flow; what the model was made for.",
                aliases=("ode", "ddim", "euler_cfg_pp")),
    SamplerSpec(name="heun", run=heun, summary="Two evaluations a step, second order; the last step is plain.", order=2,
                evaluations=2, aliases=("heunpp2", "dpm_2", "rk2", "exp_heun_2_x0", "jkass_quality")),
    SamplerSpec(name="dpmpp_2m", run=dpmpp_2m, summary="Second order from one evaluation a step, using one earlier step.", order=2,
                aliases=("dpm++_2m", "dpmpp_2m_cfg_pp", "res_multistep", "res_multistep_cfg_pp", "gradient_estimation",
                         "gradient_estimation_cfg_pp", "deis", "lms", "ipndm", "ipndm_v", "uni_pc", "uni_pc_bh2", "dpm_fast",
                         "dpm_adaptive")),
    SamplerSpec(name="sde", run=sde, summary="Estimates the clean latent and adds fresh noise at every step.", order=0,
                stochastic=True, aliases=("euler_ancestral", "euler_ancestral_cfg_pp", "euler_a", "ddpm")),
    SamplerSpec(name="pingpong", run=sde, summary="The same as sde, under its name in other programs.", order=0,
                stochastic=True, aliases=("lcm", "consistency", "jkass", "jkass_fast")),
    SamplerSpec(name="dpmpp_2m_sde", run=dpmpp_2m_sde, summary="Second order with fresh noise at every step.", order=0,
                stochastic=True, aliases=("dpm++_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu",
                         "dpmpp_sde", "dpmpp_sde_gpu", "dpm_2_ancestral",
                         "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "res_multistep_ancestral",
                         "res_multistep_ancestral_cfg_pp", "exp_heun_2_x0_sde", "er_sde", "seeds_2",
                         "seeds_3", "sa_solver", "sa_solver_pece")),
    SamplerSpec(name="dpmpp_3m", run=dpmpp_3m, summary=(
        "Third order except at both ends, from one evaluation a step, using two earlier steps."
    ),
                order=2, aliases=("dpm3m", "dpm++_3m", "dpmpp_3m_ode", "res_3m")),
    SamplerSpec(name="dpmpp_3m_sde", run=dpmpp_3m_sde, summary="The same with fresh noise at every step.", order=0,
                stochastic=True, aliases=("dpm++_3m_sde", "dpmpp_3m_sde_gpu")),
    SamplerSpec(name="stork4", run=stork4, summary="STORK-4: a Taylor series of the velocity, from one evaluation a step.", order=2,
                aliases=("stork", "stork_4", "stork4_2nd", "stork2", "storm")),
)  # fmt: skip
"""Aliases are names that users know from ComfyUI; one that has no exact counterpart maps to the nearest, and results say so.

Nearest: the same kind of noise first (none, or fresh at every step), then order and evaluations as near as there are. The
``cfg_pp`` forms change the guidance, which stays a parameter of its own here.
"""


@hookimpl
def register_samplers(register: Callable[[SamplerSpec], None]) -> None:
    for spec in SAMPLERS:
        register(spec)
