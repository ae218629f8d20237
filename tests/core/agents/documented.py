"""The provider document's two agents, field by field, as files."""

RESEARCH = """\
name = "Research Assistant"
provider = "openrouter"
model = "openai/gpt-4"
fallbackModels = [
    "anthropic/claude-3-opus-20240229",
    "google/gemini-pro",
]
systemPrompt = "You are a research assistant..."
temperature = 0.7
maxTokens = 2000
tools = ["web_search", "code_interpreter"]

[capabilities]
vision = true
functionCalling = true
streaming = true
"""
RUNS = RESEARCH.replace(', "code_interpreter"', "")
"""The same after what its refusal tells to do."""

SMART = """\
name = "Smart Assistant"
provider = "openrouter"
model = "openrouter/auto" # Automatic model selection
systemPrompt = "You are a helpful assistant..."

[providerPreferences]
order = ["OpenAI", "Anthropic"]
require_parameters = true
"""
