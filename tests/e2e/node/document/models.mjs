const jwtToken = process.env.TOKEN;

// The document from here on, to the letter; the test puts the gateway's address before the path.
async function getModels() {
  const response = await fetch('/api/openrouter/models', {
    headers: {
      'Authorization': `Bearer ${jwtToken}`
    }
  });

  const { data } = await response.json();

  // Filter by capability
  const visionModels = data.filter(m =>
    m.architecture.modality.includes('image')
  );

  // Sort by price
  const byPrice = data.sort((a, b) =>
    a.pricing.prompt - b.pricing.prompt
  );

  // Find specific provider models
  const openaiModels = data.filter(m =>
    m.id.startsWith('openai/')
  );

  return { visionModels, byPrice, openaiModels };
}

// The document up to here.

const { visionModels, byPrice, openaiModels } = await getModels();
const ids = (models) => models.map((m) => m.id);
console.log(JSON.stringify({
  vision: ids(visionModels),
  byPrice: byPrice.map((m) => Number(m.pricing.prompt)),
  openai: ids(openaiModels),
}));
