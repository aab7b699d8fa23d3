"""`python -m acestep.training <command>`: songs, codec, dit, evaluate, export."""

from acestep.training.commands import main

raise SystemExit(main())
