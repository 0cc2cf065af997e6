// Owns embeddings by Amazon Bedrock's Titan models, through AWS's client, which is loaded on first use. The client signs requests,
// retries with backoff and adapts to throttling; request format, rate limit and error mapping are here.

import pThrottle from 'p-throttle'
import type * as BedrockSdk from '@aws-sdk/client-bedrock-runtime'
import { GabionError } from '../../errors.js'
import { checkInteger, checkNumber, checkOptions, checkString, invalidArgument, outOfRange } from '../../options.js'
import type { CloudProvider, CloudVector } from './provider.js'

/** Options of {@link openBedrock}. */
export interface BedrockOptions {
  /** Default `amazon.titan-embed-text-v1` (1,536 dimensions). */
  model?: string
  /** Default: as AWS's client finds it (`AWS_REGION`, profile). */
  region?: string
  /** Another endpoint, for a gateway or a test. */
  endpoint?: string
  /** Default: as AWS's client finds them. */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
  /** Values per vector, for models with a choice (Titan V2: 256, 512, 1024). */
  dimensions?: number
  /** Maximum of attempts per text, the first included (default 6). */
  attempts?: number
  /** Maximum of texts per second (default 10). */
  textsPerSecond?: number
  /** Timeout of one response in milliseconds (default 30,000). */
  timeoutMs?: number
}

/** The default model. */
export const DEFAULT_BEDROCK_MODEL = 'amazon.titan-embed-text-v1'

type Sdk = typeof BedrockSdk

/**
 * Opens a Titan text embedding model, without sending a request.
 *
 * @throws GabionError `INVALID_ARGUMENT`, or `RUNTIME_MISSING` when the client is not installed
 */
export async function openBedrock(options?: BedrockOptions): Promise<CloudProvider & { close(): void }> {
  const given = checkOptions('options', options, [
    'model',
    'region',
    'endpoint',
    'credentials',
    'dimensions',
    'attempts',
    'textsPerSecond',
    'timeoutMs',
  ])
  const model = given.model === undefined ? DEFAULT_BEDROCK_MODEL : checkString('model', given.model)
  if (!model.includes('titan-embed-text'))
    throw invalidArgument('model', "one of Titan's text embedding models, such as 'amazon.titan-embed-text-v1'", model)
  const dimensions = given.dimensions === undefined ? undefined : checkInteger('dimensions', given.dimensions, 1)
  const attempts = given.attempts === undefined ? 6 : checkInteger('attempts', given.attempts, 1, 100)
  const timeoutMs = given.timeoutMs === undefined ? 30_000 : checkInteger('timeoutMs', given.timeoutMs, 1)
  const textsPerSecond = given.textsPerSecond === undefined ? 10 : checkNumber('textsPerSecond', given.textsPerSecond)
  if (!(textsPerSecond > 0)) throw outOfRange('textsPerSecond', 'more than 0', textsPerSecond)
  const sdk = await loadSdk()
  const client = new sdk.BedrockRuntimeClient({
    maxAttempts: attempts,
    retryMode: 'adaptive',
    requestHandler: { requestTimeout: timeoutMs },
    ...(given.region !== undefined && { region: checkString('region', given.region) }),
    ...(given.endpoint !== undefined && { endpoint: checkString('endpoint', given.endpoint) }),
    ...(given.credentials !== undefined && { credentials: given.credentials }),
  })
  const throttled = pThrottle({ limit: 1, interval: 1000 / textsPerSecond })
  const invoke = throttled((text: string, signal?: AbortSignal) => call(sdk, client, { model, dimensions, text }, signal))
  return { model, embed: (text, signal) => invoke(checkString('text', text), signal), close: () => client.destroy() }
}

async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-bedrock-runtime')
  } catch (cause) {
    throw new GabionError('RUNTIME_MISSING', "Amazon's client is not installed: npm install @aws-sdk/client-bedrock-runtime", { cause })
  }
}

interface EmbedRequest {
  model: string
  dimensions: number | undefined
  text: string
}

async function call(
  sdk: Sdk,
  client: BedrockSdk.BedrockRuntimeClient,
  { model, dimensions, text }: EmbedRequest,
  signal?: AbortSignal,
): Promise<CloudVector> {
  const body = JSON.stringify({ inputText: text, ...(dimensions !== undefined && { dimensions, normalize: true }) })
  const command = new sdk.InvokeModelCommand({ modelId: model, contentType: 'application/json', accept: 'application/json', body })
  const started = performance.now()
  try {
    const response = await client.send(command, signal === undefined ? {} : { abortSignal: signal })
    return { ...parseResponse(Buffer.from(response.body).toString('utf8'), model), milliseconds: performance.now() - started }
  } catch (error) {
    throw explain(error, model, signal)
  }
}

function parseResponse(text: string, model: string): Omit<CloudVector, 'milliseconds'> {
  let response: { embedding?: unknown; inputTextTokenCount?: unknown }
  try {
    response = JSON.parse(text) as typeof response
  } catch (cause) {
    throw new GabionError('CLOUD_REFUSED', `the response of ${model} is not JSON`, { cause })
  }
  const { embedding, inputTextTokenCount } = response
  if (
    !Array.isArray(embedding) ||
    embedding.length === 0 ||
    !embedding.every((value) => typeof value === 'number' && Number.isFinite(value))
  )
    throw new GabionError('CLOUD_REFUSED', `the response of ${model} has no vector`)
  if (typeof inputTextTokenCount !== 'number') throw new GabionError('CLOUD_REFUSED', `the response of ${model} has no token count`)
  return { vector: Float32Array.from(embedding as number[]), tokens: inputTextTokenCount }
}

function explain(error: unknown, model: string, signal: AbortSignal | undefined): GabionError {
  if (error instanceof GabionError) return error
  if (signal?.aborted === true) return new GabionError('ABORTED', 'the call was aborted by its signal', { cause: error })
  const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number; attempts?: number } }
  const status = $metadata?.httpStatusCode
  if (status === undefined && !/Credentials|Exception$/.test(name))
    return new GabionError('CLOUD_UNREACHABLE', `${model} could not be reached: ${message}`, { cause: error })
  const attempts = $metadata?.attempts === undefined ? '' : ` after ${String($metadata.attempts)} attempts`
  return new GabionError('CLOUD_REFUSED', `${model} refused the request${attempts}: ${name}: ${message}`, { cause: error })
}
