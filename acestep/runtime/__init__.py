"""What a worker computes with: devices, their memory tiers, and the policy that follows from both. Knows no model and no job."""
