"""The APIs: requests in the shape that OpenAI's and Anthropic's clients send, answers in the shape that they read."""
