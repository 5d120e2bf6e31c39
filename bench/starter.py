"""Time the starter's `transform` against plain PyTorch running the same model, in one run.

    python bench/starter.py [--rounds 5] [--threads 2]

Both sides turn examples/portrait.jpg (512x512) into a painting with the model's default settings but for guidance, which is on, in turn
(A B A B), with equal threads and the same seed. Prints medians, ranges and ratios, and how far the two
pictures are apart, so that it is plain that both did the same work. See README.md beside it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / ("imagegen.exe" if os.name == "nt" else "imagegen")
SOURCE = ROOT / "examples" / "portrait.jpg"
PROMPT = "oil painting portrait, impressionist style, warm palette"
SEED = 1
# Of both sides. At the default, 1, a step is one call of the network in place of two.
GUIDANCE_SCALE = 1.5

# The ways to run the reference that can be faster or slower: every combination is tried, the fastest counts.
LAYOUTS = ("contiguous", "channels_last")
GUIDANCE = ("two calls", "one batch")
ATTENTION = ("scaled_dot_product", "matmul")


def cpu_name():
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    family, model = fields.get("cpu family", "?"), fields.get("model", "?")
    return f"{fields.get('model name', 'unknown')} (family {family}, model {model})"


# ---- PyTorch's side: a process of its own, started by this script with --torch ----


def in_one_batch(model):
    """`Starter.denoise` with prompt and negative prompt in one call of the network."""
    import torch

    def denoise(noised, source_channels, timestep, texts, guidance_scale, change=1.0):
        fed = torch.cat([noised, source_channels], 1).repeat(2, 1, 1, 1)
        hidden, pooled = (torch.cat(pair) for pair in zip(*texts))
        output = model.unet(fed, timestep, encoder_hidden_states=hidden, class_labels=pooled, return_dict=False)[0]
        cond, uncond = model.estimate(output, source_channels.repeat(2, 1, 1, 1)).chunk(2)
        cond, uncond = (source_channels + change * (clean - source_channels) for clean in (cond, uncond))
        return uncond + guidance_scale * (cond - uncond)

    return denoise


class Peer:
    """The reference implementation, with a clock around its loop over the steps."""

    def __init__(self, threads):
        import torch

        sys.path.insert(0, str(ROOT / "tools" / "reference"))
        import starter

        # The imports belong to the process, not to the work; starter.py also sets one thread, undone here.
        torch.set_num_threads(threads)
        self.imported = time.perf_counter()
        self.torch, self.starter = torch, starter
        self.model = starter.Starter(starter.STARTER_MODEL)
        self.two_calls, self.to_pixels = self.model.denoise, self.model.to_pixels

    def choose(self, layout, guidance, attention):
        """Sets the model up in one of the ways."""
        from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

        formats = {"contiguous": self.torch.contiguous_format, "channels_last": self.torch.channels_last}
        processors = {"scaled_dot_product": AttnProcessor2_0, "matmul": AttnProcessor}
        self.model.unet.to(memory_format=formats[layout])
        self.model.unet.set_attn_processor(processors[attention]())
        self.denoise = in_one_batch(self.model) if guidance == "one batch" else self.two_calls

    def run(self):
        """One transform from file to pixels; seconds of the whole and of one step, and the pixels."""
        steps = []

        def denoise(*arguments):
            steps.append(time.perf_counter())
            return self.denoise(*arguments)

        def to_pixels(latents):
            steps.append(time.perf_counter())
            return self.to_pixels(latents)

        self.model.denoise, self.model.to_pixels = denoise, to_pixels
        since = time.perf_counter()
        with self.torch.inference_mode():
            source = self.starter.read_picture(SOURCE)
            pixels = self.model.run(source, self.starter.Request(PROMPT, guidance_scale=GUIDANCE_SCALE, seed=SEED))
        whole = time.perf_counter() - since
        return {"run": whole, "step": (steps[-1] - steps[0]) / (len(steps) - 1)}, pixels


def torch_worker(threads):
    """Warm process: reads a way to run per line of stdin, as JSON, answers with seconds, as JSON."""
    peer = Peer(threads)
    for line in sys.stdin:
        peer.choose(*json.loads(line))
        print(json.dumps(peer.run()[0]), flush=True)


def torch_process(threads, way, out):
    """Cold process: imports, loads, transforms once, writes the picture, says how long the imports took."""
    since = time.perf_counter()
    peer = Peer(threads)
    peer.choose(*way)
    _, pixels = peer.run()
    from PIL import Image

    Image.fromarray(peer.starter.to_bytes(pixels).numpy()).save(out)
    print(json.dumps({"imports": peer.imported - since}))


# ---- The comparison ----


def torch_environment():
    """The environment without settings of OpenBLAS that suit another program on this machine."""
    foreign = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def torch_command(threads, *more):
    return [sys.executable, __file__, "--threads", str(threads), *more]


class WarmTorch:
    """A PyTorch process that lives from round to round, so that no step pays for start-up."""

    def __init__(self, threads):
        command = torch_command(threads, "--torch", "worker")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=torch_environment(), **pipes)

    def run(self, way):
        """One transform; seconds of the run and of one step."""
        self.process.stdin.write(json.dumps(way) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"PyTorch's process ended with {self.process.wait()}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def cold_torch(threads, way, out):
    """One whole process; seconds with and without the imports."""
    command = torch_command(threads, "--torch", "process", "--way", json.dumps(way), "--out", str(out))
    since = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=torch_environment())
    process = time.perf_counter() - since
    return {"process": process, "without imports": process - json.loads(done.stdout)["imports"]}


def ours(threads, level, out):
    """One transform by our binary as a whole process; seconds, and what it says of itself."""
    command = [str(BINARY), "transform", str(SOURCE), "-p", PROMPT, "--guidance", str(GUIDANCE_SCALE), "--seed", str(SEED), "--model", "starter"]
    command += ["--quiet", "--json", "--threads", str(threads), "-o", str(out)]
    command += ["--cpu", level] if level else []
    since = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    process = time.perf_counter() - since
    facts = json.loads(done.stdout)
    seconds = facts["results"][0]["seconds"]
    stages = list(seconds)
    after_start = sum(seconds[stage] for stage in stages[stages.index("denoise") :])
    return {
        "step": seconds["denoise"] / facts["results"][0]["steps_run"],
        "run": sum(seconds.values()) - seconds["write"],
        "process": process,
        "start": facts["load_seconds"] + seconds["prepare"] + seconds["text"],
        # All that is not the loop or after it: more than the start by what ending the process takes.
        "start at most": process - after_start,
    }, facts


def fastest_way(torch, threads):
    """Tries every way to run the reference; gives seconds of a step by way, two tries each, the better one."""
    torch.run((LAYOUTS[0], GUIDANCE[0], ATTENTION[0]))  # first calls choose and compile kernels
    tried = {}
    for way in product(LAYOUTS, GUIDANCE, ATTENTION):
        tried[way] = min(torch.run(way)["step"] for _ in range(2))
        print(f"  torch, {', '.join(way):48}{tried[way]:7.3f} s a step", flush=True)
    return min(tried, key=tried.get)


def apart(ours_file, torch_file):
    """Largest difference of two pictures, 0 to 255, and the share of values that differ at all."""
    import numpy as np
    from PIL import Image

    first, second = (np.asarray(Image.open(file).convert("RGB")).astype(int) for file in (ours_file, torch_file))
    difference = np.abs(first - second)
    return int(difference.max()), float((difference > 0).mean())


def measure(arguments, folder):
    """Warms both sides up, then runs them in turn. Gives rows of seconds by side, our facts, the way that counts."""
    files = folder / "ours.png", folder / "torch.png"
    _, facts = ours(arguments.threads, arguments.cpu, files[0])
    torch = WarmTorch(arguments.threads)
    way = fastest_way(torch, arguments.threads)
    rows = {"ours": [], "torch": []}
    for _ in range(arguments.rounds):
        mine, facts = ours(arguments.threads, arguments.cpu, files[0])
        rows["ours"].append(mine)
        rows["torch"].append(torch.run(way))
    torch.end()
    # Whole processes by themselves: beside a warm PyTorch they would share its memory and caches.
    for index in range(arguments.rounds):
        rows["ours"].append({"process": ours(arguments.threads, arguments.cpu, files[0])[0]["process"]})
        rows["torch"].append(cold_torch(arguments.threads, way, files[1]))
    return rows, facts, way, apart(*files)


def show(rows):
    """Prints the table: medians, ranges, ratios."""

    def cell(side, key):
        values = [row[key] for row in rows[side] if key in row]
        return statistics.median(values), f"{min(values):.3f}-{max(values):.3f}"

    print(f"\n{'seconds':38}{'ours':>8}{'range':>15}{'torch':>9}{'range':>15}{'torch/ours':>12}")
    for title, key, theirs in (
        ("one denoising step", "step", "step"),
        ("transform, warm, no start-up", "run", "run"),
        ("whole process", "process", "process"),
        ("whole process, torch without imports", "process", "without imports"),
    ):
        mine, other = cell("ours", key), cell("torch", theirs)
        ratio = other[0] / mine[0]
        print(f"{title:38}{mine[0]:8.3f}{mine[1]:>15}{other[0]:9.3f}{other[1]:>15}{ratio:12.2f}")
    for title, key in (
        ("load + prepare + text", "start"),
        ("process start to first step, at most", "start at most"),
    ):
        mine = cell("ours", key)
        print(f"{title:38}{mine[0]:8.3f}{mine[1]:>15}")


def compare(arguments):
    """Both sides in turn, and the report."""
    import diffusers
    import torch
    import transformers

    if not BINARY.exists():
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    load = f"load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"{cpu_name()}, {arguments.threads} threads, {load}")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, diffusers {diffusers.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, torch level {torch.backends.cpu.get_cpu_capability()}")
    with tempfile.TemporaryDirectory() as folder:
        rows, facts, way, (largest, share) = measure(arguments, Path(folder))
    program, recipe = facts["program"], facts["results"][0]["recipe"]
    print(f"\nours: {program}, level {facts['cpu']['level']}, {facts['cpu']['threads']} threads")
    print(f"torch: {', '.join(way)}")
    width, height = recipe["size"]
    print(f"{width}x{height}, {facts['results'][0]['steps_run']} of {recipe['steps']} steps, strength {recipe['strength']}")
    print(f"pictures: {share:.2%} of values differ, by {largest} of 255 at most")
    show(rows)


def main():
    """Reads the command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(description="Times the starter's transform against PyTorch.")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side [default: 5]")
    parser.add_argument("--threads", type=int, default=cores, help="threads of both sides [default: all cores]")
    parser.add_argument("--cpu", help="our level: avx512, avx2 or portable [default: the best here]")
    parser.add_argument("--torch", choices=("worker", "process"), help=argparse.SUPPRESS)
    parser.add_argument("--way", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch == "worker":
        torch_worker(arguments.threads)
    elif arguments.torch == "process":
        torch_process(arguments.threads, arguments.way, arguments.out)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
