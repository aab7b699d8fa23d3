"""acestep-bridge in Live without Max: a control surface that sends regions to the daemon and places what comes back."""


def create_instance(c_instance):
    """What Live calls when the control surface is chosen."""
    from .surface import Surface

    return Surface(c_instance)
