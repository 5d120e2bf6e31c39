"""The engines that are compared: how each is started, which rows it can do, in which ways, and what it is called."""
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from work import GUIDANCE, NEGATIVE, PROMPT, ROOT, SEED, STEPS, STRENGTH, WORK, case_file

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ENDING = ".exe" if os.name == "nt" else ""
BINARY = TARGET / "release" / f"imagegen{ENDING}"
NETWORKS = TARGET / "release" / "examples" / f"network_speed{ENDING}"
CANDLE = TARGET / "peers-candle" / "release" / f"peers-candle{ENDING}"

SINGLE = {"unet_1", "unet_2", "kl_encode", "kl_decode", "clip_l"}
TORCH_WAYS = ("channels_last", "contiguous")


@dataclass(frozen=True)
class Peer:
    """One column of the table."""

    name: str
    kind: str  # how it is started: ours, torch, openvino, sdcpp or candle
    rows: frozenset
    ways: tuple = ("",)
    fast: bool = False  # computes in less than float32
    warm_ups: int | None = None  # the most that it has any use for
    asked: bool = True  # runs where no peers are named


ALL = frozenset(WORK)
OURS = "imagegen"  # the column that all others are compared with
PEERS = [
    Peer(OURS, "ours", ALL, ("f32",)),
    Peer("imagegen bf16", "ours", ALL, ("bf16",), fast=True),
    Peer("imagegen int8", "ours", ALL, ("int8",), fast=True),
    Peer("torch", "torch", ALL, TORCH_WAYS, warm_ups=2),
    # Compiled at its first run; it takes a C++ compiler and minutes.
    Peer("torch.compile", "torch", ALL - {"starter"}, ("channels_last, compiled",), warm_ups=2, asked=False),
    Peer("OpenVINO f32", "openvino", ALL - {"starter"}, ("f32",), warm_ups=2),
    Peer("OpenVINO default", "openvino", ALL - {"starter"}, ("default",), fast=True, warm_ups=2),
    Peer("OpenVINO int8 weights", "openvino", ALL - {"starter"}, ("int8",), fast=True, warm_ups=2),
    Peer("candle", "candle", frozenset(SINGLE), warm_ups=1),
    Peer(
        "stable-diffusion.cpp", "sdcpp", frozenset({"unet_2", "transform"}),
        tuple(f"{kind}{flash}{direct}" for kind in ("f32", "f16", "q8_0") for flash in ("", ", flash") for direct in ("", ", direct")), fast=True, warm_ups=1,
    ),
]


def missing(peer):
    """Why a peer cannot run here, or None."""
    modules = {"torch": ("torch", "diffusers"), "openvino": ("openvino",), "sdcpp": ("stable_diffusion_cpp",)}
    if peer.kind == "openvino" and peer.ways == ("int8",):
        modules = {"openvino": ("openvino", "nncf")}
    import importlib.util

    for module in modules.get(peer.kind, ()):
        if importlib.util.find_spec(module) is None:
            return f"not installed: no Python package {module}"
    programs = {"ours": (BINARY, NETWORKS), "candle": (CANDLE,)}
    for program in programs.get(peer.kind, ()):
        if not program.exists():
            return f"not installed: no {program}"
    return None


def version(peer):
    """What is compared, as its package says."""
    from importlib.metadata import version as installed

    if peer.kind == "ours":
        said = subprocess.run([BINARY, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
        return f"{said}, commit {commit}" if commit else said
    if peer.kind == "torch":
        return ", ".join(f"{name} {installed(name)}" for name in ("torch", "diffusers", "transformers"))
    if peer.kind == "openvino":
        return f"openvino {installed('openvino')}" + (f", nncf {installed('nncf')}" if peer.ways == ("int8",) else "")
    if peer.kind == "sdcpp":
        return f"stable-diffusion-cpp-python {installed('stable-diffusion-cpp-python')}"
    return next(line for line in (HERE / "candle" / "Cargo.toml").read_text().splitlines() if line.startswith("candle-core")).replace(' = "=', " ").rstrip('"')


def environment(threads):
    """The environment without settings of OpenBLAS that suit another program on this machine, and with the threads that all get."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    return kept | {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}


class Failed(Exception):
    """A peer said that it cannot do what it was asked for."""


class Process:
    """A peer's process that answers orders line by line."""

    def __init__(self, peer, threads, models, log, kept=None):
        self.peer, self.models, self.kept = peer, models, kept
        commands = {"ours": [NETWORKS, threads], "candle": [CANDLE]}
        worker = [sys.executable, HERE / "worker.py", peer.kind, threads, models]
        command = [str(part) for part in commands.get(peer.kind, worker)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment(threads), stderr=log, **pipes)

    def ask(self, order):
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"its process ended with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def prepare(self, name, way):
        work = WORK[name]
        order = {"do": "prepare", "work": name, "way": way, "network": work.network, "folder": str(self.models / work.folder)}
        return self.ask(order | {"case": str(case_file(self.models, name)), "kept": self.kept})

    def run(self, out=None):
        return self.ask({"do": "run", "out": str(out) if out else None})

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Binary:
    """Our binary, a fresh process for each transform, which loads and is not warmed up."""

    def __init__(self, threads, models):
        self.threads, self.models = threads, models

    def prepare(self, name, way):
        self.name, self.precision = name, way
        return {"seconds": 0.0}

    def command(self):
        if WORK[self.name].network == "starter":
            # The settings of bench/starter.py, whose reference implementation is the other side.
            return [ROOT / "examples" / "portrait.jpg", "-p", "oil painting portrait, impressionist style, warm palette", "--guidance", 1.5, "--seed", 1, "--model", "starter"]
        return [
            self.models / "source.png", "-p", PROMPT, "--negative", NEGATIVE, "--model", self.models / "sd1", "--strength", STRENGTH,
            "--steps", STEPS, "--guidance", GUIDANCE, "--seed", SEED, "--strength-rule", "diffusers", "--prompt-mode", "plain",
        ]

    def run(self, out=None):
        out = out or self.models / "out" / "imagegen.png"
        command = [BINARY, "transform", *self.command(), "--precision", self.precision, "--quiet", "--json", "--threads", self.threads, "-o", out]
        start = time.perf_counter()
        # stderr stays the terminal's: what it says of itself there is for the reader.
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Failed(f"its process ended with {process.returncode}")
        facts = json.loads(said)
        seconds = facts["results"][0]["seconds"]
        run = sum(seconds.values()) - seconds["write"]
        return {"seconds": run, "process": time.perf_counter() - start, "load": facts["load_seconds"], "peak": usage.ru_maxrss * 1024, "stages": seconds}

    def end(self):
        pass


def start(peer, name, threads, models, log, kept):
    """What runs a row of a peer."""
    if peer.kind == "ours" and WORK[name].network in ("transform", "starter"):
        return Binary(threads, models)
    return Process(peer, threads, models, log, kept)
