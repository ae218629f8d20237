"""What a librechat.yaml says of OpenRouter, as the gateway would have it."""
