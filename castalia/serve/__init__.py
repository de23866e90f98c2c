"""Serving: an API that existing clients just use, keys, and the app."""
