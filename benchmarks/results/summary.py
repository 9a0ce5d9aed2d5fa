"""A result in a few lines, to paste beside what it is about: what was asked, what came out, whether it counts."""

from __future__ import annotations

from benchmarks.results.schema import Configuration, Latency, Result

RULE = "-" * 72


def summary(result: Result) -> str:
    """Return the block."""
    throughput, asked, unit = result.throughput, result.configuration, result.unit
    lines = [RULE, f"SUMMARY  {_counts(result)}", RULE]
    lines += _row("configuration", configuration_line(asked))
    lines += _row("machine", f"{result.machine.processor}, {result.machine.cores} cores, {result.machine.python}")
    if result.machine.revision:
        lines += _row("revision", result.machine.revision)
    if unit is not None:
        lines += _row("verify unit", f"{unit.before_us:.1f} us before, {unit.after_us:.1f} us after ({unit.drift:.1%})")
    lines += _row("transactions", f"{throughput.transactions_per_s:,.0f} /s")
    if throughput.operations != throughput.transactions and throughput.operations:
        lines += _row("operations", f"{throughput.operations_per_s:,.0f} /s")
    if throughput.payloads != throughput.transactions:
        lines += _row("payloads", f"{throughput.payloads_per_s:,.0f} /s of {asked.payload_bytes} B")
    if throughput.utilization:
        lines += _row("utilization", f"{throughput.utilization:.3f} of all processors go into signatures alone")
    lines += _row(
        "blocks",
        f"{throughput.blocks_per_s:.1f} /s, {throughput.transactions_per_block:,.0f} transactions each, "
        f"{throughput.transactions_per_batch:,.0f} a batch",
    )
    lines += _row("end to end", latency_line(result.end_to_end))
    lines += _consensus(result)
    for node in result.nodes:
        lines += _row(
            f"validator {node.index}",
            f"{node.cpu_us_per_transaction:.0f} us CPU, {node.sent_bytes_per_transaction:,.0f} B sent a transaction; "
            f"{node.rss_max_bytes / 2**20:.0f} MiB" + ("" if node.alive else "; disturbed"),
        )
    lines += _loops(result)
    lines += _row("generator", f"{result.generator.cpu_share:.1%} of all processors")
    if result.refused:
        lines += _row("refused", ", ".join(f"{code} {count:,}" for code, count in result.refused.items()))
    checks = result.checks
    lines += _row(
        "checked",
        f"{checks.found_once:,} of {checks.acknowledged:,} acknowledged transactions are in blocks once; the same "
        f"block {checks.agreed_height} everywhere",
    )
    lines += [f"warning: {text}" for text in result.warnings]
    lines += [f"error: {text}" for text in result.errors]
    return "\n".join([*lines, RULE])


def configuration_line(asked: Configuration) -> str:
    """What was asked for, where it matters to everybody."""
    rate = "saturated" if asked.rate == "saturate" else f"{asked.rate:,.0f} /s {asked.arrivals}"
    parts = [
        asked.kind,
        f"{asked.validators} validators",
        asked.workload,
        rate,
        f"{asked.duration_s:.0f} s after {asked.warmup_s:.0f} s",
        f"{asked.batch_submit} a request",
        f"seed {asked.seed}",
    ]
    if asked.workload != "opaque":
        parts.insert(-1, f"{asked.accounts:,} accounts")
    if asked.rate == "saturate":
        parts.append(f"{asked.outstanding:,} on their way")
    if asked.faults:
        parts.append(f"faults {asked.faults}")
    if asked.attach:
        parts.append(f"attached to {' '.join(asked.attach)}")
    if asked.latency:
        parts.append(f"latency {asked.latency}")
    settings = [f"{table}.{name}={value}" for table, values in asked.node.items() for name, value in values.items()]
    settings += [f"genesis.{name}={value}" for name, value in asked.genesis.items()]
    return ", ".join(parts + settings)


def latency_line(latency: Latency) -> str:
    if not latency.count:
        return "nothing"
    figures = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99, "p99.9": latency.p999, "max": latency.max}
    return ", ".join(f"{name} {microseconds / 1000:,.1f} ms" for name, microseconds in figures.items())


def _consensus(result: Result) -> list[str]:
    """From proposal to decision, of the validator that proposed most."""
    found = [(node.consensus.count, node.index, node.consensus) for node in result.nodes if node.consensus is not None]
    if not found:
        return []
    _, index, latency = max(found, key=lambda entry: entry[0])
    return _row("consensus", f"{latency_line(latency)} (validator {index})")


def _loops(result: Result) -> list[str]:
    late = [node.lateness.p99 for node in result.nodes if node.lateness is not None]
    if not late:
        return []
    longest = max(node.gc_pause_max_us for node in result.nodes)
    return _row("event loops", f"p99 {max(late) / 1000:,.1f} ms late, longest collection {longest / 1000:,.1f} ms")


def _counts(result: Result) -> str:
    return "valid" if result.valid else "NOT VALID: the figures do not count"


def _row(name: str, text: str) -> list[str]:
    return [f"{name + ':':15} {text}"]
