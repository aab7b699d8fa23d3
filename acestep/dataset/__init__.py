"""Datasets for training adapters: songs, their labels, and the files they are kept in. No torch.

The JSON file is the original trainer's own, so either program opens what the other saved; what only we know stands under
one key of ours (`acestep.dataset.sample.OWN`).
"""
