"""A request on its way to a job: parse, resolve, region, plan, returns, paths. Torch-free, and without any settings.

`acestep.admission.render` leads through the steps for a render. What must be known of the machine (headers of sounds, models,
which paths a caller may name) is asked of the `acestep.admission.host.HostInfo` that the daemon or the worker hands in.
"""
