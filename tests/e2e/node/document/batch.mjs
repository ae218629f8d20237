const jwtToken = process.env.TOKEN;

// The document from here on, to the letter; the test puts the gateway's address before the path.
// Process multiple requests efficiently
async function batchProcess(prompts) {
  const results = await Promise.all(
    prompts.map(prompt =>
      fetch('/api/openrouter/chat/completions', {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'Authorization': `Bearer ${jwtToken}`
        },
        body: JSON.stringify({
          model: 'openai/gpt-3.5-turbo',
          messages: [{ role: 'user', content: prompt }],
          max_tokens: 100
        })
      })
    )
  );

  return Promise.all(results.map(r => r.json()));
}

// The document up to here.

const answers = await batchProcess(['first prompt', 'second prompt', 'third prompt']);
console.log(JSON.stringify(answers.map((answer) => answer.choices[0].message.content)));
