// Owns the descriptions of anchors: the nearest written topic, never words of a data set's conversations.

import type { Anchor } from '../lib/detection/erosion/artifact.js'
import { unit } from '../lib/detection/training/anchors.js'
import { dot } from '../lib/statistics/vectors.js'
import type { WrittenExchange, WrittenKind } from './templates.js'

/** A written reply, whose topic may describe a center. */
export interface TaggedReply extends Pick<WrittenExchange, 'kind' | 'topic'> {
  readonly vector: ArrayLike<number>
}

/** Anchors with distinct tags. */
export function tagAnchors(anchors: readonly Anchor[], written: readonly TaggedReply[]): Anchor[] {
  const topics = topicVectors(written)
  const used = { safe: new Set<string>(), unsafe: new Set<string>() }
  return anchors.map((anchor) => {
    const tag = nearestTag(anchor.vector, topics[anchor.side], used[anchor.side])
    used[anchor.side].add(tag)
    return { ...anchor, tag }
  })
}

const WORDS: Readonly<Record<WrittenKind, (topic: string) => string>> = {
  compliance: (topic) => `help with ${topic}`,
  refusal: (topic) => `declining or preventing ${topic}`,
  everyday: (topic) => `everyday help: ${topic}`,
  service: () => 'service dialogue',
}

function topicVectors(written: readonly TaggedReply[]): Record<Anchor['side'], Map<string, Float64Array>> {
  const topics = { safe: new Map<string, Float64Array>(), unsafe: new Map<string, Float64Array>() }
  for (const { kind, topic, vector } of written) {
    const map = topics[kind === 'compliance' ? 'unsafe' : 'safe']
    const tag = WORDS[kind](topic ?? '')
    const sum = map.get(tag) ?? new Float64Array(vector.length)
    for (let i = 0; i < sum.length; i++) sum[i]! += vector[i] as number
    map.set(tag, sum)
  }
  for (const map of Object.values(topics)) for (const [tag, sum] of map) map.set(tag, unit(sum))
  return topics
}

/** The nearest topic that no other center has, so that anchors have distinct tags. */
function nearestTag(vector: ArrayLike<number>, topics: ReadonlyMap<string, Float64Array>, used: ReadonlySet<string>): string {
  let [best, tag] = [-Infinity, 'untitled']
  for (const [candidate, center] of topics) {
    const cosine = dot(center, vector)
    if (!used.has(candidate) && cosine > best) [best, tag] = [cosine, candidate]
  }
  return tag
}
