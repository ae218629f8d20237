"""orgate: one person's gateway to OpenRouter."""
