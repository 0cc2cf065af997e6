// The container's health check: the service answers on its own port.
const port = process.env.GABION_HEALTH_PORT ?? '8080'
const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null)
process.exit(response?.ok === true ? 0 : 1)
