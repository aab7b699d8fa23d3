"""ACE-Step 1.5, and the small model of the same architecture that is shipped: the first of the model families.

Its networks, checkpoints and conditioning lie in packages of their own, since training and analysis use them too; here is how they
stand behind the seam (`acestep.api.family`).
"""
