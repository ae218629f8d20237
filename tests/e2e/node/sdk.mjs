// Everything that a program does with the official package, told as one JSON object on standard output.
// The package takes address and token from OPENAI_BASE_URL and OPENAI_API_KEY.
import OpenAI, { APIError } from 'openai';

const client = new OpenAI({ maxRetries: 0 });
const model = 'openai/gpt-4o-mini';
const hello = [{ role: 'user', content: 'Hello, who are you?' }];
const asked = [{ role: 'user', content: 'What is the weather in Paris?' }];
const sandbox = { interval_ms: 1 };

const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters } }];

const schema = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' }, kind: { enum: ['near', 'far'] } },
  required: ['name', 'age', 'kind'],
  additionalProperties: false,
};

async function plain() {
  return client.chat.completions.create({ model, messages: hello, sandbox });
}

async function stream() {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ model, messages: hello, sandbox, stream: true })) {
    chunks.push(chunk);
  }
  return chunks;
}

async function tool() {
  const called = await client.chat.completions.create({ model, messages: asked, tools, sandbox });
  const message = called.choices[0].message;
  const result = { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '18 degrees and sunny' };
  const told = await client.chat.completions.create({ model, messages: [...asked, message, result], tools, sandbox });
  return [called, told];
}

async function streamedTool() {
  return client.chat.completions.stream({ model, messages: asked, tools, sandbox }).finalChatCompletion();
}

async function jsonSchema() {
  const response_format = { type: 'json_schema', json_schema: { name: 'person', strict: true, schema } };
  return client.chat.completions.parse({ model, messages: hello, response_format, sandbox });
}

async function image() {
  const url = 'data:image/png;base64,' + Buffer.from('a picture').toString('base64');
  const content = [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url } }];
  return client.chat.completions.create({ model, messages: [{ role: 'user', content }], sandbox });
}

async function models() {
  const ids = [];
  for await (const each of client.models.list()) ids.push(each.id);
  return ids;
}

async function unknownModel() {
  try {
    return await client.chat.completions.create({ model: 'nobody/nothing', messages: hello });
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, message: error.error.message };
  }
}

async function cutStream() {
  const said = [];
  const finished = [];
  try {
    const chunks = await client.chat.completions.create({ model: 'sandbox/cut-3', messages: hello, sandbox, stream: true });
    for await (const chunk of chunks) {
      if (chunk.choices[0].delta.content) said.push(chunk.choices[0].delta.content);
      finished.push(chunk.choices[0].finish_reason);
    }
    return { said, finished, raised: null };
  } catch (error) {
    return { said, finished, raised: error instanceof APIError };
  }
}

const told = {};
for (const task of [plain, stream, tool, streamedTool, jsonSchema, image, models, unknownModel, cutStream]) {
  told[task.name] = await task();
}
console.log(JSON.stringify(told));
