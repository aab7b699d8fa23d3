"""Stand-ins for parts of the daemon, for tests of doors, clients and host scripts."""
