"""What our engine costs by pixels, batch, steps and threads: nothing is above linear but attention's known term.

The starter is run whole, by the binary; the networks of Stable Diffusion 1.5 alone, since one pass of the UNet says it all.
"""
import json
import statistics
import subprocess
from pathlib import Path

import peer as peers
import plot
import table
from run import Hold
from work import PROMPT, SOURCE, make_inputs, make_models

SIDES = (256, 384, 512, 768, 1024)
OURS = peers.PEERS[0]


def timed_network(name, arguments, models, log, latents=64, batch=1, threads=None):
    """Seconds of a row's network at other sizes, after one run to warm up."""
    import work
    from dataclasses import replace

    from safetensors.torch import save_file

    key = f"scaling_{name}_{latents}_{batch}"
    work.WORK[key] = replace(work.WORK[name], batch=batch)
    file = work.case_file(models, key)
    if not file.exists():
        save_file(make_inputs(models, key, latents), file)
    process = peers.Process(OURS, threads or arguments.threads, models, log, int(arguments.kept * 2**30))
    process.prepare(key, "")
    process.run()
    runs = [process.run()["seconds"] for _ in range(arguments.rounds)]
    process.end()
    return statistics.median(runs)


def starter(arguments, models, side=512, steps=10, threads=None):
    """Seconds of each stage of a transform by the starter, medians."""
    source, out = models / "out" / f"square{side}.png", models / "out" / "scaling.png"
    if not source.exists():
        from PIL import Image

        Image.open(SOURCE).convert("RGB").resize((side, side), Image.LANCZOS).save(source)
    command = [peers.BINARY, "transform", source, "-p", PROMPT, "--guidance", 1.5, "--seed", 1, "--model", "starter", "--steps", steps, "--size", f"{side}x{side}"]
    command += ["--quiet", "--json", "--threads", threads or arguments.threads, "-o", out]
    runs = []
    for _ in range(arguments.rounds):
        said = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout
        result = json.loads(said)["results"][0]
        runs.append((sum(result["seconds"].values()), result["seconds"]["denoise"] / result["steps_run"], result["steps_run"]))
    whole, step, _ = (statistics.median(values) for values in zip(*runs))
    return whole, step, runs[0][2]


def fit(points):
    """Least squares of `a p + b p²` over relative errors; gives a, b and the largest relative error."""
    import numpy as np

    pixels, seconds = (np.array(values, float) for values in zip(*points))
    columns = np.stack([pixels / seconds, pixels**2 / seconds], 1)
    (a, b), *_ = np.linalg.lstsq(columns, np.ones(len(points)), rcond=None)
    return a, b, float(abs(columns @ [a, b] - 1).max())


def pixels_table(title, points):
    """Rows of seconds by size, with what two terms say of them."""
    a, b, off = fit(points)
    least = points[0][1] / points[0][0]
    lines = [f"**{title}**", "", "| pixels | seconds | per pixel, of the smallest | share of the square term |", "|---|---|---|---|"]
    for pixels, seconds in points:
        side = round(pixels**0.5)
        lines.append(f"| {side}x{side} | {table.number(seconds)} | {seconds / pixels / least:.2f} | {max(b, 0) * pixels**2 / seconds:.0%} |")
    return [*lines, "", f"seconds = a p + b p² fits within {off:.1%}.", ""]


def other_table(title, unit, points):
    """Rows of seconds by a count, and seconds for one of it."""
    lines = [f"**{title}**", "", f"| {unit} | seconds | seconds x first over first x this |", "|---|---|---|"]
    (first, base), *_ = points
    return lines + [f"| {count} | {table.number(seconds)} | {seconds / base * first / count:.2f} |" for count, seconds in points] + [""]


def run(arguments):
    """Measures all of it and prints tables in markdown."""
    models = arguments.models.resolve()
    make_models(models, ["unet_1", "kl_decode"])
    (models / "out").mkdir(exist_ok=True)
    log = (models / "out" / "peers.log").open("a")
    lines = [f"{table.machine(arguments.threads)}; {peers.version(OURS)}.", ""]
    with Hold(arguments.hold):
        by_size = {}
        for title, name in (("UNet of SD 1.5, batch 1", "unet_1"), ("AutoencoderKL, decode", "kl_decode")):
            by_size[title] = [(side**2, timed_network(name, arguments, models, log, side // 8)) for side in SIDES]
        # The starter works at no more than its own size.
        steps = [(side**2, starter(arguments, models, side)[1]) for side in SIDES if side <= 512]
        by_size["One step of the starter, with guidance"] = steps
        for title, points in by_size.items():
            lines += pixels_table(title, points)
        batches = [(batch, timed_network("unet_1", arguments, models, log, 32, batch)) for batch in (1, 2, 4)]
        lines += other_table("UNet of SD 1.5 at 256x256, by batch", "batch", batches)
        steps = [starter(arguments, models, steps=steps) for steps in (10, 20, 40)]
        lines += other_table("Transform by the starter, 512x512, by steps run", "steps run", [(count, whole) for whole, _, count in steps])
        counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= arguments.threads]
        lines += ["**UNet of SD 1.5 at 512x512, batch 1, by threads**", "", "| threads | seconds | times as fast as one |", "|---|---|---|"]
        times = [(count, timed_network("unet_1", arguments, models, log, threads=count)) for count in counts]
        lines += [f"| {count} | {table.number(seconds)} | {times[0][1] / seconds:.2f} |" for count, seconds in times] + [""]
    text = "\n".join(lines)
    print(text)
    if arguments.plot:
        costs = {title: [(f"{side}²", seconds / side**2) for side, (_, seconds) in zip(SIDES, points)] for title, points in by_size.items()}
        of_the_first = {title: [(label, cost / points[0][1]) for label, cost in points] for title, points in costs.items()}
        plot.chart(arguments.plot, "Seconds per pixel, of those at 256²: a level line is linear cost", "pixels", of_the_first)
    if arguments.markdown:
        Path(arguments.markdown).write_text(text, encoding="utf-8")
