// OpenTelemetry spans and metrics by the GenAI semantic conventions. A no-op unless the process registers a provider.

import {
  SpanKind,
  SpanStatusCode,
  context,
  metrics,
  propagation,
  trace,
  type Attributes,
  type Histogram,
  type Span,
} from '@opentelemetry/api'
import { isGabionError } from '../errors.js'
import type { RequestContext } from './request-context.js'

const NAME = 'gabion'
const PROVIDER = 'gabion'

/** Sets a span's attributes at its end. */
export type SpanFacts = (attributes: Attributes) => void

/** Opens spans and records durations of the models' operations. */
export class Telemetry {
  readonly #tracer = trace.getTracer(NAME)
  readonly #model: string
  readonly #duration: Histogram
  readonly #tokens: Histogram

  constructor(model: string) {
    this.#model = model
    const meter = metrics.getMeter(NAME)
    this.#duration = meter.createHistogram('gen_ai.server.request.duration', { unit: 's', description: 'Time of an operation' })
    this.#tokens = meter.createHistogram('gen_ai.client.token.usage', {
      unit: '{token}',
      description: 'Input and output tokens of an operation',
    })
  }

  /**
   * Runs an operation in its own span, a child of the caller's span if the request's headers carry a trace context.
   *
   * @param operation - `embeddings`, or `gabion.exchange` for a judged exchange
   * @param model - what runs, if it is not the default
   */
  async run<T>(
    operation: string,
    { headers }: Pick<RequestContext, 'headers'>,
    work: (facts: SpanFacts) => Promise<T>,
    model = this.#model,
  ): Promise<T> {
    const common = { 'gen_ai.operation.name': operation, 'gen_ai.provider.name': PROVIDER, 'gen_ai.request.model': model }
    const parent = propagation.extract(context.active(), headers)
    const started = performance.now()
    const span = this.#tracer.startSpan(`${operation} ${model}`, { kind: SpanKind.SERVER, attributes: common }, parent)
    let failure: string | undefined
    try {
      return await context.with(trace.setSpan(parent, span), () => work((facts) => this.#note(span, common, facts)))
    } catch (error) {
      failure = isGabionError(error) ? error.code : 'INTERNAL'
      span.setAttribute('error.type', failure)
      span.setStatus({ code: SpanStatusCode.ERROR, message: failure })
      throw error
    } finally {
      const seconds = (performance.now() - started) / 1000
      this.#duration.record(seconds, { ...common, ...(failure !== undefined && { 'error.type': failure }) })
      span.end()
    }
  }

  #note(span: Span, common: Attributes, facts: Attributes): void {
    span.setAttributes(facts)
    const tokens = facts['gen_ai.usage.input_tokens']
    if (typeof tokens === 'number') this.#tokens.record(tokens, { ...common, 'gen_ai.token.type': 'input' })
  }
}
