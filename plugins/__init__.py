"""The built-in plug-ins; they use only ``acestep.api``, the surface every third party gets."""
