// Owns the schemas of requests and responses: for validation, the OpenAPI document and TypeScript types.

import { Type, type Static } from '@sinclair/typebox'
import { exchangeVerdictSchema, levelSchema } from '../../detection/verdict-schema.js'
import { ERROR_CODES } from '../../errors.js'
import { MAX_RULES } from '../../monitor/context.js'
import { MAX_ID_LENGTH } from '../conversations/record.js'
import { AcknowledgeRequest, AcknowledgeResponse, Alerts, DeletedConversations, StoredAlert } from './alert-schemas.js'
import { closed, nullable } from './schema-parts.js'

export { ConversationParams } from './schema-parts.js'

const Texts = Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], { description: 'One text or several' })

const TokenIds = Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), { minItems: 1 })

const ModelName = Type.Optional(
  nullable(Type.String({ description: 'The name of a model of this service; of a service with one model, ignored' })),
)

/** OpenAI's request. Fields that gabion does not use are ignored. */
export const EmbeddingsRequest = Type.Object(
  {
    input: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 }), TokenIds, Type.Array(TokenIds, { minItems: 1 })], {
      description: "One text or several; or one list of the served model's token ids or several, with special tokens",
    }),
    model: ModelName,
    encoding_format: Type.Optional(nullable(Type.Union([Type.Literal('float'), Type.Literal('base64')], { default: 'float' }))),
    dimensions: Type.Optional(
      nullable(Type.Integer({ minimum: 1, description: 'Truncates vectors to their first values, normalized again' })),
    ),
    prompt_name: Type.Optional(nullable(Type.String({ description: "One of the model's prompts" }))),
    user: Type.Optional(nullable(Type.String({ description: 'Ignored' }))),
  },
  { $id: 'EmbeddingsRequest', additionalProperties: true },
)
export type EmbeddingsRequest = Static<typeof EmbeddingsRequest>

export const EmbeddingsResponse = Type.Object(
  {
    object: Type.Literal('list'),
    data: Type.Array(
      Type.Object({
        object: Type.Literal('embedding'),
        index: Type.Integer(),
        embedding: Type.Union([Type.Array(Type.Number()), Type.String({ description: 'Little-endian float32 in base64' })]),
      }),
    ),
    model: Type.String(),
    usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
    truncated: Type.Array(Type.Integer(), { description: 'Indices of texts that were truncated to the maximum length of the model' }),
  },
  { $id: 'EmbeddingsResponse' },
)

/** text-embeddings-inference's request. */
export const EmbedRequest = Type.Object(
  {
    inputs: Texts,
    model: ModelName,
    normalize: Type.Optional(nullable(Type.Boolean({ default: true, description: 'Vectors always have unit length: false is refused' }))),
    truncate: Type.Optional(nullable(Type.Boolean({ description: 'Truncates texts that are too long instead of refusing them' }))),
    truncation_direction: Type.Optional(
      nullable(Type.Union([Type.Literal('Right'), Type.Literal('right')], { description: 'Texts are truncated at their end' })),
    ),
    prompt_name: Type.Optional(nullable(Type.String({ description: "One of the model's prompts" }))),
    dimensions: Type.Optional(nullable(Type.Integer({ minimum: 1 }))),
  },
  { $id: 'EmbedRequest', additionalProperties: true },
)
export type EmbedRequest = Static<typeof EmbedRequest>

export const EmbedResponse = Type.Array(Type.Array(Type.Number()), { $id: 'EmbedResponse' })

/** text-embeddings-inference's request; huggingface_hub's `sentence_similarity`. */
export const SimilarityRequest = Type.Object(
  {
    inputs: Type.Object({ source_sentence: Type.String(), sentences: Type.Array(Type.String(), { minItems: 1 }) }),
    model: ModelName,
  },
  { $id: 'SimilarityRequest', additionalProperties: true },
)
export type SimilarityRequest = Static<typeof SimilarityRequest>

export const SimilarityResponse = Type.Array(Type.Number(), {
  $id: 'SimilarityResponse',
  description: 'The cosine of each sentence to the first one',
})

/** A request to the address of the service itself, as huggingface_hub sends them: its `inputs` say which. */
export const RootRequest = Type.Object(
  {
    ...EmbedRequest.properties,
    inputs: Type.Union([...Texts.anyOf, SimilarityRequest.properties.inputs], {
      description: 'One text or several; or a sentence and those to compare it with',
    }),
  },
  { $id: 'RootRequest', additionalProperties: true },
)
export type RootRequest = Static<typeof RootRequest>

export const RootResponse = Type.Union([Type.Array(Type.Array(Type.Number())), Type.Array(Type.Number())], { $id: 'RootResponse' })

/** A model in OpenAI's list. */
export const Model = Type.Object(
  { id: Type.String(), object: Type.Literal('model'), created: Type.Integer(), owned_by: Type.String() },
  { $id: 'Model' },
)
export const Models = Type.Object({ object: Type.Literal('list'), data: Type.Array(Type.Ref('Model')) }, { $id: 'Models' })

const OneOrTwo = Type.Array(Type.String(), { minItems: 1, maxItems: 2 })

/** text-embeddings-inference's request. */
export const PredictRequest = Type.Object(
  {
    inputs: Type.Union([Type.String(), OneOrTwo, Type.Array(OneOrTwo, { minItems: 1 })], {
      description: 'A text, a pair [text, text], or a batch [[text], [text, text], …]',
    }),
    truncate: Type.Optional(nullable(Type.Boolean({ description: 'Truncates inputs that are too long instead of refusing them' }))),
    raw_scores: Type.Optional(nullable(Type.Boolean({ description: 'Logits in the place of probabilities' }))),
  },
  { $id: 'PredictRequest', additionalProperties: true },
)
export type PredictRequest = Static<typeof PredictRequest>

const Predictions = Type.Array(Type.Object({ label: Type.String(), score: Type.Number() }))
export const PredictResponse = Type.Union([Predictions, Type.Array(Predictions)], {
  $id: 'PredictResponse',
  description: 'Labels, best first; of a batch a list per input',
})

/** text-embeddings-inference's request. */
export const RerankRequest = Type.Object(
  {
    query: Type.String(),
    texts: Type.Array(Type.String(), { minItems: 1 }),
    truncate: Type.Optional(nullable(Type.Boolean({ description: 'Truncates inputs that are too long instead of refusing them' }))),
    raw_scores: Type.Optional(nullable(Type.Boolean({ description: 'Logits in the place of probabilities' }))),
    return_text: Type.Optional(nullable(Type.Boolean())),
  },
  { $id: 'RerankRequest', additionalProperties: true },
)
export type RerankRequest = Static<typeof RerankRequest>

export const RerankResponse = Type.Array(Type.Object({ index: Type.Integer(), score: Type.Number(), text: Type.Optional(Type.String()) }), {
  $id: 'RerankResponse',
  description: 'The most relevant text first',
})

export const ProjectRequest = Type.Object({ input: Texts }, { $id: 'ProjectRequest', ...closed })
export type ProjectRequest = Static<typeof ProjectRequest>

export const ProjectResponse = Type.Object(
  {
    data: Type.Array(Type.Object({ index: Type.Integer(), point: Type.Array(Type.Number()) })),
    model: Type.String(),
    components: Type.Integer(),
    truncated: Type.Array(Type.Integer()),
  },
  { $id: 'ProjectResponse' },
)

export const AddExchangeRequest = Type.Object(
  {
    user: Type.String({ description: "The user's message; may be empty" }),
    assistant: Type.String({ description: 'The reply to it; may be empty' }),
    exchangeId: Type.Optional(
      nullable(
        Type.String({
          minLength: 1,
          maxLength: MAX_ID_LENGTH,
          description: 'Idempotency key: an exchange sent again gets the same verdict and counts once',
        }),
      ),
    ),
    exchange: Type.Optional(
      nullable(Type.Integer({ minimum: 1, description: 'Number of the exchange, from 1; a conflict if another one is due' })),
    ),
    system: Type.Optional(
      nullable(
        Type.String({ description: 'The system prompt, in force from this exchange on; an empty one ends it, without one it stays' }),
      ),
    ),
    rules: Type.Optional(
      nullable(
        Type.Array(Type.String(), { maxItems: MAX_RULES, description: 'Rules in addition to the system prompt; without them, they stay' }),
      ),
    ),
    caller: Type.Optional(
      nullable(
        Type.String({
          minLength: 1,
          maxLength: MAX_ID_LENGTH,
          pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$',
          description: 'Whose conversation it is, for alerts and for deleting all of it: better a hash than a name',
        }),
      ),
    ),
  },
  { $id: 'AddExchangeRequest', ...closed },
)
export type AddExchangeRequest = Static<typeof AddExchangeRequest>

const statusFields = {
  conversation: Type.String(),
  exchanges: Type.Integer(),
  level: levelSchema,
  likelihood: Type.Number(),
  alerts: Type.Integer(),
  firstAlert: nullable(Type.Integer()),
  updatedAt: Type.String(),
  caller: nullable(Type.String({ description: 'Whose conversation it is' })),
  tenant: nullable(Type.String()),
}

export const ConversationStatus = Type.Object(statusFields, { $id: 'ConversationStatus' })
export const Conversations = Type.Object({ conversations: Type.Array(Type.Ref('ConversationStatus')) }, { $id: 'Conversations' })

export const ConversationResponse = Type.Object(
  { ...statusFields, history: Type.Array(Type.Ref('ExchangeVerdict'), { description: 'The last exchanges, at most 256' }) },
  { $id: 'Conversation' },
)

export const Failure = Type.Object(
  {
    error: Type.Object({
      code: Type.Union(Object.keys(ERROR_CODES).map((code) => Type.Literal(code))),
      message: Type.String(),
      type: Type.String({ description: "For OpenAI's clients" }),
      requestId: Type.String(),
    }),
  },
  { $id: 'Failure' },
)

export const Info = Type.Object(
  {
    version: Type.String(),
    model_id: Type.String({ description: 'As in text-embeddings-inference' }),
    model_sha: nullable(Type.String()),
    model_dtype: Type.String(),
    max_input_length: Type.Integer(),
    max_client_batch_size: Type.Integer(),
    model: Type.Object({
      name: Type.String(),
      hash: Type.String(),
      precision: Type.String(),
      provider: Type.String(),
      instructionSet: Type.String(),
      dimensions: Type.Integer(),
      threads: Type.Integer(),
      license: Type.String(),
      runtimeVersion: nullable(Type.String()),
    }),
    models: Type.Array(Type.String(), { description: 'Names of all models; the first one judges, and is the default' }),
    detector: nullable(Type.Object({ name: Type.String(), fingerprint: Type.String() })),
    noDetector: nullable(Type.String({ description: 'Why no conversation is judged here' })),
    store: Type.String(),
    cache: Type.Object({
      hits: Type.Integer(),
      misses: Type.Integer(),
      entries: Type.Integer(),
      bytes: Type.Integer(),
      maxBytes: Type.Integer(),
    }),
  },
  { $id: 'Info' },
)

export const Stats = Type.Object(
  {
    perSecond: Type.Number({ description: 'Responses per second over the last ten seconds' }),
    p50Ms: nullable(Type.Number()),
    p99Ms: nullable(Type.Number()),
    pendingTexts: Type.Integer(),
    refused: Type.Integer(),
    unjudged: Type.Integer({ description: 'Replies of the proxy that could not be judged, or not completely' }),
    blocked: Type.Integer({ description: 'Replies that were held back or cut' }),
    exchanges: Type.Integer(),
    alerts: Type.Integer(),
    cacheHits: Type.Integer(),
    cacheMisses: Type.Integer(),
  },
  { $id: 'Stats', description: 'Current activity of this instance, and totals since its start' },
)

export const Health = Type.Object({ status: Type.String() }, { $id: 'Health' })

export const ListQuery = Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })) })
export type ListQuery = Static<typeof ListQuery>

/** Schemas with a name in the OpenAPI document. */
export const NAMED_SCHEMAS = [
  EmbeddingsRequest,
  EmbeddingsResponse,
  EmbedRequest,
  EmbedResponse,
  SimilarityRequest,
  SimilarityResponse,
  RootRequest,
  RootResponse,
  Model,
  Models,
  ProjectRequest,
  ProjectResponse,
  PredictRequest,
  PredictResponse,
  RerankRequest,
  RerankResponse,
  AddExchangeRequest,
  exchangeVerdictSchema,
  ConversationStatus,
  Conversations,
  ConversationResponse,
  AcknowledgeRequest,
  AcknowledgeResponse,
  StoredAlert,
  Alerts,
  DeletedConversations,
  Failure,
  Info,
  Stats,
  Health,
]
