"""Policies behind an OpenAI-compatible server: `ApiAgent` over `ApiClient`."""
