"""The tables: seconds, ratios, memory and differences, for a terminal and in markdown."""
import os
import platform
import statistics
from pathlib import Path

from work import STEPS_RUN, WORK

OURS = "imagegen"


def machine(threads):
    """The processor as the system names it, what it computes with, and how many threads."""
    fields = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    except OSError:
        fields["model name"] = platform.processor() or "unknown"
    flags = fields.get("flags", "").split()
    levels = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if name in flags]
    family = f" (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{fields.get('model name', 'unknown')}{family}, {' '.join(levels)}; {threads} threads of {os.cpu_count()}{load}"


def seconds(row, peer):
    """Runs of a peer at a row, empty where it has none."""
    return [run["seconds"] for run in row.get(peer, {}).get("runs", [])]


def with_parts(results):
    """Rows, with what a run of stable-diffusion.cpp said of other rows put into them; a short run says it of all but the UNet."""
    rows = {name: dict(row) for name, row in results["rows"].items()}
    for whole in ("transform", "unet_2"):
        for peer, side in results["rows"].get(whole, {}).items():
            said = {}
            for run in side["runs"]:
                for part, value in run.get("parts", {}).items():
                    said.setdefault(part, []).append({"seconds": value})
            for part, runs in said.items():
                if not results["rows"].get(part, {}).get(peer, {}).get("runs"):
                    rows.setdefault(part, {})[peer] = {"runs": runs, "way": side["way"], "error": None, "off": None}
    return {name: rows[name] for name in WORK if name in rows}


def summed(rows, peer):
    """What a whole transform takes at least by a peer that has no program for it: the sum of its networks."""
    needed = {"kl_encode": 1, "unet_2": STEPS_RUN, "kl_decode": 1, "clip_l": 2}
    if not all(seconds(rows.get(name, {}), peer) for name in needed):
        return None
    return sum(count * statistics.median(seconds(rows[name], peer)) for name, count in needed.items())


def cells(results):
    """Lines of (title, ours, [(peer, median, range or None, ratio, mark)])."""
    rows, peers = with_parts(results), [name for name in results["peers"] if name != OURS]
    for name, row in rows.items():
        mine = seconds(row, OURS)
        ours = statistics.median(mine) if mine else None
        others = []
        for peer in peers:
            values, mark = seconds(row, peer), ""
            if not values and name == "transform" and (sum_of_parts := summed(rows, peer)):
                values, mark = [sum_of_parts], "~"
            if not values:
                others.append((peer, None, None, None, ""))
                continue
            median = statistics.median(values)
            others.append((peer, median, (min(values), max(values)), median / ours if ours else None, mark))
        yield name, (ours, (min(mine), max(mine)) if mine else None), others


def show(results):
    """Prints what was measured."""
    print(f"\n{results.get('machine', '')}")
    for peer, facts in results["peers"].items():
        print(f"{peer}: {facts.get('missing') or facts['version']}")
    for name, (ours, span), others in cells(results):
        print(f"\n{WORK[name].title}")
        if ours is not None:
            print(f"  {OURS:24}{ours:9.3f} s  {span[0]:.3f}-{span[1]:.3f}{detail(results, name, OURS)}")
        for peer, median, span, ratio, mark in others:
            if median is None:
                error = results["rows"].get(name, {}).get(peer, {}).get("error")
                print(f"  {peer:24}        - {error or ''}")
                continue
            times = f"{ratio:6.2f} x ours" if ratio else ""
            print(f"  {peer:24}{mark:>1}{median:8.3f} s  {span[0]:.3f}-{span[1]:.3f} {times}{detail(results, name, peer)}")


def detail(results, name, peer):
    """The way it ran, its peak memory, how far its output is from torch's."""
    side, said = results["rows"].get(name, {}).get(peer, {}), []
    if side.get("way"):
        said.append(side["way"])
    precisions = {run["precision"] for run in side.get("runs", []) if run.get("precision")}
    said += [f"computes in {', '.join(sorted(precisions))}"] if precisions else []
    if name == "transform" and (peak := peak_of(side)):
        said.append(f"peak {peak:.2f} GiB")
    off = side.get("off")
    if off and "most" in off:
        said.append(f"off by {off['most']:.1e} at most, {off['rms']:.1e} rms")
    elif off:
        said.append(off["error"])
    return f"  ({'; '.join(said)})" if said else ""


def peak_of(side):
    """GiB of the most memory a process of a transform held."""
    peaks = [run["peak"] for run in side.get("runs", []) if run.get("peak")]
    return statistics.median(peaks) / 2**30 if peaks else None


def markdown(results):
    """The tables for docs/performance.md."""
    peers = [name for name, facts in results["peers"].items() if name != OURS and "version" in facts]
    lines = [f"{results.get('machine', '')}.", ""]
    lines += [f"- {peer}: {facts.get('missing') or facts['version']}" for peer, facts in results["peers"].items()]
    lines += ["", "Seconds, medians; in brackets how many times ours that is.", "", "| work | " + " | ".join([OURS, *peers]) + " |"]
    lines += ["|---" * (len(peers) + 2) + "|"]
    for name, (ours, _), others in cells(results):
        shown = [number(ours) if ours is not None else "–"]
        for peer, median, _, ratio, mark in others:
            if peer in peers:
                times = f" ({ratio:.1f}x)" if ratio else ""
                shown.append("–" if median is None else f"{mark}{number(median)}{times}")
        lines.append("| " + " | ".join([WORK[name].title, *shown]) + " |")
    lines += ["", "Ranges, ways and differences from torch's output (over its largest value; in grey levels for pictures):", ""]
    lines += ["| work | peer | range, s | way | peak memory | largest | rms |", "|---|---|---|---|---|---|---|"]
    for name, row in with_parts(results).items():
        for peer, side in row.items():
            values = seconds(row, peer)
            if not values:
                continue
            off, peak = side.get("off") or {}, peak_of(side) if name == "transform" else None
            shown = [WORK[name].title, peer, f"{number(min(values))}–{number(max(values))}", side.get("way") or "", f"{peak:.2f} GiB" if peak else ""]
            shown += [f"{off['most']:.1e}", f"{off['rms']:.1e}"] if "most" in off else ["", ""]
            lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def number(value):
    """Three figures."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
