// The clients for JavaScript. Runs one of them and prints what it got as JSON.
//
// usage: node clients.mjs CLIENT SERVICE-URL PROXY-URL      (copied next to its node_modules before)

import { readFileSync } from 'node:fs'

const [, , name, service, proxy] = process.argv
const MODEL = 'parrot'
const KEY = 'not-needed-here'

/** Each chat of its own words, so that each is an exchange of its own. */
const question = (kind) => `${name}, ${kind}: when do you open?`
const user = (kind) => [{ role: 'user', content: question(kind) }]

async function joined(parts, text) {
  let all = ''
  for await (const part of parts) all += text(part) ?? ''
  return all
}

const CLIENTS = {
  openai: {
    package: 'openai',
    async run() {
      const { default: OpenAI } = await import('openai')
      const chat = new OpenAI({ baseURL: `${proxy}/v1`, apiKey: KEY, maxRetries: 0 }).chat.completions
      const whole = await chat.create({ model: MODEL, messages: user('whole') })
      const stream = await chat.create({ model: MODEL, messages: user('streamed'), stream: true })
      const client = new OpenAI({ baseURL: `${service}/v1`, apiKey: KEY, maxRetries: 0 })
      const { data } = await client.embeddings.create({ model: 'text-embedding-3-small', input: 'hello' })
      const [{ id }] = (await client.models.list()).data
      return {
        whole: whole.choices[0].message.content,
        streamed: await joined(stream, (part) => part.choices[0]?.delta.content),
        vector: data[0].embedding,
        model: (await client.models.retrieve(id)).id,
      }
    },
  },
  langchain: {
    package: '@langchain/openai',
    async run() {
      const { ChatOpenAI, OpenAIEmbeddings } = await import('@langchain/openai')
      const chat = new ChatOpenAI({ model: MODEL, apiKey: KEY, maxRetries: 0, configuration: { baseURL: `${proxy}/v1` } })
      const embeddings = new OpenAIEmbeddings({ apiKey: KEY, model: 'm', configuration: { baseURL: `${service}/v1` } })
      return {
        whole: (await chat.invoke(question('whole'))).content,
        streamed: await joined(await chat.stream(question('streamed')), (part) => part.content),
        vector: await embeddings.embedQuery('hello'),
      }
    },
  },
  'ai-sdk': {
    package: 'ai',
    async run() {
      const { embed, generateText, streamText } = await import('ai')
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible')
      const model = createOpenAICompatible({ name: 'proxy', baseURL: `${proxy}/v1`, apiKey: KEY })(MODEL)
      const embedding = createOpenAICompatible({ name: 'service', baseURL: `${service}/v1`, apiKey: KEY }).textEmbeddingModel('m')
      return {
        whole: (await generateText({ model, prompt: question('whole'), maxRetries: 0 })).text,
        streamed: await joined(streamText({ model, prompt: question('streamed'), maxRetries: 0 }).textStream, (text) => text),
        vector: (await embed({ model: embedding, value: 'hello' })).embedding,
      }
    },
  },
  llamaindex: {
    package: 'llamaindex',
    async run() {
      const { OpenAI, OpenAIEmbedding } = await import('@llamaindex/openai')
      const llm = new OpenAI({ model: 'gpt-4o-mini', apiKey: KEY, baseURL: `${proxy}/v1`, maxRetries: 0 })
      const embedding = new OpenAIEmbedding({ model: 'text-embedding-3-small', apiKey: KEY, baseURL: `${service}/v1` })
      const streamed = await llm.chat({ messages: user('streamed'), stream: true })
      return {
        whole: (await llm.chat({ messages: user('whole') })).message.content,
        streamed: await joined(streamed, (part) => part.delta),
        vector: await embedding.getTextEmbedding('hello'),
      }
    },
  },
  anthropic: {
    package: '@anthropic-ai/sdk',
    async run() {
      const { default: Anthropic } = await import('@anthropic-ai/sdk')
      const client = new Anthropic({ baseURL: proxy, apiKey: KEY, maxRetries: 0 })
      const request = (kind) => ({ model: MODEL, max_tokens: 100, messages: user(kind) })
      return {
        whole: (await client.messages.create(request('whole'))).content[0].text,
        streamed: await client.messages.stream(request('streamed')).finalText(),
      }
    },
  },
  ollama: {
    package: 'ollama',
    async run() {
      const { Ollama } = await import('ollama')
      const client = new Ollama({ host: proxy })
      const stream = await client.chat({ model: MODEL, messages: user('streamed'), stream: true })
      return {
        whole: (await client.chat({ model: MODEL, messages: user('whole') })).message.content,
        streamed: await joined(stream, (part) => part.message.content),
      }
    },
  },
}

const client = CLIENTS[name]
const { version } = JSON.parse(readFileSync(new URL(`node_modules/${client.package}/package.json`, import.meta.url), 'utf8'))
process.stdout.write(JSON.stringify({ package: client.package, version, ...(await client.run()) }))
