// Owns HTML templates: values that are not markup are escaped. Knows no page and no content.

/** Safe markup, from {@link html} or, for markup from other sources, {@link trusted}. */
export class Html {
  readonly text: string

  /** Use {@link html} or {@link trusted}. */
  constructor(text: string) {
    this.text = text
  }
}

/** Template values: strings and numbers are escaped, arrays are joined, null and false are omitted. */
export type HtmlValue = Html | string | number | null | false | readonly HtmlValue[]

/** A template whose values are escaped. */
export function html(markup: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(markup.reduce((text, part, index) => `${text}${render(values[index - 1] ?? null)}${part}`))
}

/** Markup from a source that does its own escaping. */
export function trusted(markup: string): Html {
  return new Html(markup)
}

/** Escapes a text for markup and quoted attributes. Control characters, which HTML forbids, become U+FFFD. */
export function escapeHtml(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex -- control characters are the search pattern
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '\ufffd')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;')
  )
}

function render(value: HtmlValue): string {
  if (value === null || value === false) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(render).join('')
  return escapeHtml(String(value))
}
