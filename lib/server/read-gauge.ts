// Owns gauges that are read when they are asked for.

import { Gauge, type Registry } from 'prom-client'

/** Registers a gauge whose value is read at each scrape. */
export function readGauge(registers: Registry[], name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(value())
    },
  })
}
