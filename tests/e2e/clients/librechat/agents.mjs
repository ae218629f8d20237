// LibreChat's own agents package with its OpenRouter provider: an answer as it streams in, told as one JSON object.
import { HumanMessage } from '@langchain/core/messages';
import { ChatModelStreamHandler, createContentAggregator, GraphEvents, Providers, Run } from '@librechat/agents';

const { BASE_URL, TOKEN } = process.env;
const { contentParts, aggregateContent } = createContentAggregator();
let deltas = 0;
const run = await Run.create({
  runId: 'run',
  graphConfig: {
    type: 'standard',
    instructions: 'You are a helpful assistant.',
    llmConfig: {
      provider: Providers.OPENROUTER,
      model: 'openai/gpt-4o-mini',
      apiKey: TOKEN,
      streaming: true,
      configuration: { baseURL: `${BASE_URL}/api/v1` },
    },
  },
  returnContent: true,
  customHandlers: {
    [GraphEvents.CHAT_MODEL_STREAM]: new ChatModelStreamHandler(),
    [GraphEvents.ON_RUN_STEP]: { handle: (event, data) => aggregateContent({ event, data }) },
    [GraphEvents.ON_MESSAGE_DELTA]: { handle: (event, data) => { deltas += 1; aggregateContent({ event, data }); } },
  },
});
const content = await run.processStream(
  { messages: [new HumanMessage('Hello, who are you?')] },
  { runId: 'run', streamMode: 'values', version: 'v2', configurable: { thread_id: 'thread' } },
);
const said = (content ?? contentParts).map((part) => part?.text ?? '').join('');
console.log(JSON.stringify({ said, deltas }));
