// The environment of what the smoke run starts.

/** Without the variables that `npm run` sets: they describe this checkout. */
export function ownNothing() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(package|lifecycle|config_local|config_prefix|command|execpath)/.test(key)),
  )
}
