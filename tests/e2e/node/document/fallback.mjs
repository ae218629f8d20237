const jwtToken = process.env.TOKEN;

// The document from here on, but for the models, which the sandbox must know; the test puts the address before the path.
const response = await fetch('/api/openrouter/chat/completions', {
  method: 'POST',
  headers: {
    'Content-Type': 'application/json',
    'Authorization': `Bearer ${jwtToken}`
  },
  body: JSON.stringify({
    model: 'openai/gpt-4',
    models: [
      'anthropic/claude-haiku-4.5',
      'google/gemini-2.5-flash',
      'mistralai/mistral-large'
    ],
    route: 'fallback',
    messages: [
      { role: 'user', content: 'Write a poem about AI.' }
    ]
  })
});

// The document up to here.

const answer = await response.json();
console.log(JSON.stringify({ status: response.status, answer }));
