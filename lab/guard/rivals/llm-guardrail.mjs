// Scores texts with the npm package llm_guardrail: a JSON string per line in, the highest probability of its three models per line out.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { createInterface } from 'node:readline'

// It is installed outside the checkout's own packages.
const resolved = createRequire(`${process.cwd()}/build/rivals/node/package.json`).resolve('llm_guardrail')
const { checkAll } = await import(pathToFileURL(resolved).href)
for await (const line of createInterface({ input: process.stdin })) {
  const { injection, jailbreak, malicious, allowed } = await checkAll(JSON.parse(line))
  const score = Math.max(...[injection, jailbreak, malicious].map(({ probabilities }) => probabilities.threat))
  console.log(JSON.stringify([score, allowed ? 0 : 1]))
}
