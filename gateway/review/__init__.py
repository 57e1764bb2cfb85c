"""Reviewing: edits, documentation, the policy, samples, holds, provider queries. Pure: values in, values out."""
