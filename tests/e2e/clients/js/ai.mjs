// The AI SDK with OpenRouter's provider and with its OpenAI-compatible one, told as one JSON object.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const { BASE_URL, TOKEN } = process.env;
const id = 'openai/gpt-4o-mini';
const prompt = 'Hello, who are you?';
const models = {
  openrouter: createOpenRouter({ baseURL: `${BASE_URL}/api/v1`, apiKey: TOKEN }).chat(id),
  compatible: createOpenAICompatible({ name: 'orgate', baseURL: `${BASE_URL}/v1`, apiKey: TOKEN }).chatModel(id),
};

async function told(model) {
  const plain = await generateText({ model, prompt, maxRetries: 0 });
  const stream = streamText({ model, prompt, maxRetries: 0 });
  const pieces = [];
  for await (const piece of stream.textStream) pieces.push(piece);
  const cities = [];
  const get_weather = tool({
    description: 'The weather in a city',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => { cities.push(city); return '18 degrees'; },
  });
  const answered = await generateText({
    model, prompt: 'What is the weather in Paris?', tools: { get_weather }, stopWhen: stepCountIs(2), maxRetries: 0,
  });
  return {
    plain: plain.text,
    usage: plain.usage.totalTokens,
    cost: plain.providerMetadata?.openrouter?.usage?.cost ?? null,
    stream: pieces.join(''),
    chunks: pieces.length,
    finish: await stream.finishReason,
    tool: cities.length,
    told: answered.text,
  };
}

console.log(JSON.stringify({ openrouter: await told(models.openrouter), compatible: await told(models.compatible) }));
