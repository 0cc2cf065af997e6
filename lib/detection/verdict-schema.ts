// Owns the schema of a verdict, the source of the service's responses and their OpenAPI document, and of the JSON and CSV of the command
// line. Its types stand in verdict.ts without the schema's library, which users of the package do not have; the compiler compares them.
// Imports nothing of Node, since detectors also run in browsers.

import { Type, type TSchema } from '@sinclair/typebox'

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const milliseconds = (description?: string) => Type.Number(description === undefined ? {} : { description })

export const levelSchema = Type.Union([Type.Literal('calm'), Type.Literal('elevated'), Type.Literal('alert')], {
  description: 'How worried the detector is after this exchange; stays until later exchanges calm it',
})

const roleFindingSchema = Type.Object({
  distance: Type.Number({ description: 'Distance from the system prompt and the first exchanges, smoothed over exchanges; 0 to 2' }),
  threshold: Type.Number(),
  drifted: Type.Boolean({ description: 'The distance reaches the threshold' }),
})

const probability = (description: string) => nullable(Type.Number({ description }))

export const signalsSchema = Type.Object(
  {
    unsafe: probability('The reply does harm whatever the rules say'),
    breaks: probability('The reply breaks a rule'),
    wavers: probability('The reply breaks a rule, or visibly gives way'),
    complies: probability('The reply does what the user asked for'),
    pressure: probability("The user's message pushes against the rules"),
  },
  { description: 'Calibrated probabilities; null for a signal that the guard does not have' },
)

const judgeSchema = Type.Object(
  {
    breaks: nullable(Type.Boolean({ description: 'Whether the reply breaks a rule; null where the judge gave no answer' })),
    reason: Type.String({ description: "The judge's reason, or why there is no answer" }),
    model: Type.String(),
    durationMs: milliseconds(),
    promptTokens: Type.Optional(
      nullable(Type.Integer({ description: 'What was sent, as the endpoint counts it; absent where it does not' })),
    ),
    completionTokens: Type.Optional(nullable(Type.Integer({ description: 'What it answered' }))),
  },
  { description: "The answer of the deployment's own model" },
)

const timingsSchema = Type.Object(
  {
    tokenizeMs: milliseconds(),
    queueMs: milliseconds('Waiting for an encoder thread'),
    encodeMs: milliseconds(),
    projectMs: milliseconds(),
    detectMs: milliseconds(),
    totalMs: milliseconds('From the call to the verdict, waiting for earlier exchanges included'),
  },
  { description: 'The first four are summed over the two texts, which may run at the same time' },
)

const identityFields = {
  conversation: Type.String({ description: "The conversation's id" }),
  exchange: Type.Integer({ description: 'Counts exchanges from 1' }),
  exchangeId: nullable(Type.String({ description: "The caller's own name of the exchange; null where it gave none" })),
}

const detectorFields = {
  alert: Type.Boolean({ description: "The detector's decision at this exchange" }),
  level: levelSchema,
  likelihood: Type.Number({ description: "The detector's score from 0 to 1: relative, not a probability of harm" }),
  risk: Type.Number({ description: "How far this reply is from safe ground, in the detector's own unit" }),
  drift: Type.Number({ description: 'Change of risk since the previous exchange' }),
  acceleration: Type.Number({ description: 'Change of drift since the previous exchange' }),
  cumulative: Type.Number({ description: 'Risk accumulated over the conversation' }),
  ratio: nullable(
    Type.Number({
      description: "Accumulated risk of the replies over that of the user's messages; null where a detector has no such measure",
    }),
  ),
  reasons: Type.Array(Type.String(), { description: 'Why, in short phrases for a person; empty when there is nothing to say' }),
  policies: Type.Optional(Type.Array(Type.String(), { description: 'With policies only: names of those that this exchange breaks' })),
  role: Type.Optional(nullable(roleFindingSchema)),
  signals: Type.Optional(nullable(signalsSchema)),
  strength: Type.Optional(
    nullable(
      Type.Number({
        description: "With the guard only: the guardrail's strength from 1 to 0, how the assistant behaves when it is pressed",
      }),
    ),
  ),
  rule: Type.Optional(nullable(Type.String({ description: 'With the guard, where the level rises: the rule that is likely broken' }))),
  sentence: Type.Optional(
    nullable(Type.String({ description: 'With the guard, where the level rises: the sentence of the reply that carries it' })),
  ),
  judge: Type.Optional(nullable(judgeSchema)),
}

const circumstanceFields = {
  truncated: Type.Boolean({ description: 'A text was longer than the model reads and was cut' }),
  timings: timingsSchema,
  at: Type.String({ description: 'When it was judged, ISO 8601' }),
}

/** The schema of a verdict outside the process; the order of its fields is that of JSON and CSV. */
export const exchangeVerdictSchema = Type.Object(
  { ...identityFields, ...detectorFields, ...circumstanceFields },
  { $id: 'ExchangeVerdict', description: 'The verdict on one exchange of a conversation' },
)
