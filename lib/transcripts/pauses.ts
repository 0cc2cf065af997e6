// Owns the moments in which a stream has nothing to give.

/** The items of a stream, and null each time none comes for a while. */
export async function* withPauses<Item>(items: AsyncIterator<Item>, milliseconds: number): AsyncGenerator<Item | null> {
  try {
    for (;;) {
      const next = items.next()
      if (await isLate(next, milliseconds)) yield null
      const result = await next
      if (result.done === true) return
      yield result.value
    }
  } finally {
    await items.return?.()
  }
}

async function isLate(awaited: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(true)
    }, milliseconds)
  })
  try {
    return await Promise.race([awaited.then(() => false), late])
  } finally {
    clearTimeout(timer)
  }
}
