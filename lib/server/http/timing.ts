// The `Server-Timing` header.

/** Times of a response's stages in milliseconds. */
export interface StageTimes {
  readonly tokenizeMs: number
  readonly queueMs: number
  readonly encodeMs: number
  readonly projectMs: number
  readonly detectMs?: number
  readonly totalMs: number
}

export function serverTiming({ tokenizeMs, queueMs, encodeMs, projectMs, detectMs = 0, totalMs }: StageTimes): string {
  return (
    `tokenize;dur=${tokenizeMs.toFixed(3)}, queue;dur=${queueMs.toFixed(3)}, encode;dur=${encodeMs.toFixed(3)}, ` +
    `project;dur=${projectMs.toFixed(3)}, detect;dur=${detectMs.toFixed(3)}, total;dur=${totalMs.toFixed(3)}`
  )
}
