"""Nodes of a Ray cluster as devices: each lane of the queue is a child process of the daemon that drives one actor on one node.

Ray is imported in these child processes and on the nodes only. To the daemon such a child is a worker like any other.
"""
