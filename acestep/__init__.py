"""The engine of acestep-bridge: what a render is (``acestep.api``) and how it is computed (the rest).

``acestep.api`` never imports torch; everything that does is imported by the worker process only.
"""

__version__ = "0.1.0"
