"""Jobs, events, worker, library: everything behind the doors. The core never imports a door."""
