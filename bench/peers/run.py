"""The same work on every engine, A B A B, with the same random weights and the same threads.

    python bench/peers/run.py

Sets up the peers (a virtual environment beside this file, our release build, candle's), writes models on random weights, runs every row on every
peer in turn, compares what they computed, and prints tables of medians, ratios and differences, and one in markdown. See README.md beside it.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OWN = HERE / ".venv"

# What may fail to install: the run goes on without it and says so.
OPTIONAL = (["openvino==2026.4.1"], ["nncf==3.4.0"], ["--no-binary", "stable-diffusion-cpp-python", "stable-diffusion-cpp-python==0.4.7"])


def read_arguments():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(description="The same work on every engine, A B A B, with the same random weights and the same threads.")
    parser.add_argument("--rows", help="rows to run, by name and comma [default: all but sdxl_unet]")
    parser.add_argument("--peers", help="peers to run, by name and comma [default: all]")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each row on each peer [default: 3]")
    parser.add_argument("--warm-ups", type=int, default=3, help="runs before them that are not timed, with three of which everyone has made its weights ready; whole transforms have none [default: 3]")
    parser.add_argument("--long-rounds", type=int, default=1, help="the same for a whole transform of Stable Diffusion [default: 1]")
    parser.add_argument("--together", type=int, default=2, help="peers that are loaded at one time beside ours [default: 2]")
    parser.add_argument("--kept", type=float, default=1, help="GiB that our transformed weights may take in rows of one network [default: 1]")
    parser.add_argument("--threads", type=int, default=cores, help="threads of every peer [default: all cores]")
    parser.add_argument("--compile", action="store_true", help="run torch.compile too; needs a C++ compiler and minutes")
    parser.add_argument("--ways", help='take these ways rather than the fastest: JSON, {"torch": "channels_last"} for example')
    parser.add_argument("--models", type=Path, default=HERE / "models", help="folder for models and inputs [default: beside this script]")
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="file that rows are added to [default: beside this script]")
    parser.add_argument("--add", action="store_true", help="add runs to those that the file of results holds rather than replace them")
    parser.add_argument("--markdown", type=Path, help="file to write the tables to")
    parser.add_argument("--hold", help="command that keeps the machine quiet while the command it is given runs; asked for around timed runs")
    parser.add_argument("--scaling", action="store_true", help="instead: what our engine costs by pixels, batch, steps and threads")
    parser.add_argument("--plot", help="with --scaling: an SVG of the cost by pixels")
    parser.add_argument("--show", action="store_true", help="only print what the file of results holds")
    parser.add_argument("--no-setup", action="store_true", help="run with this Python and what is built")
    return parser.parse_args()


def set_up():
    """Installs and builds what is not there, then goes on in the virtual environment."""
    python = OWN / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(OWN, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
        for packages in OPTIONAL:
            if subprocess.run([*pip, *packages]).returncode:
                print(f"{packages[-1]} could not be installed; the run goes on without it", file=sys.stderr)
    # As sources are, without telling whether they changed: after a change, build first.
    from peer import BINARY, CANDLE, NETWORKS, TARGET

    if not BINARY.exists() or not NETWORKS.exists():
        build = ["cargo", "build", "--release", "-p", "imagegen-cli", "-p", "imagegen-model", "--bins", "--example", "network_speed"]
        subprocess.run(build, cwd=ROOT, check=True)
    if not CANDLE.exists():
        build = ["cargo", "build", "--release", "--locked", "--target-dir", str(TARGET / "peers-candle")]
        if subprocess.run(build, cwd=HERE / "candle").returncode:
            print("candle could not be built; the run goes on without it", file=sys.stderr)
    command = [str(python), *sys.argv, "--no-setup"]
    sys.exit(subprocess.run(command).returncode)


class Hold:
    """Keeps the machine quiet for a while, by the user's command."""

    def __init__(self, command):
        self.process = None
        if command:
            wait = [sys.executable, "-c", "print('held', flush=True); input()"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.process = subprocess.Popen([*shlex.split(command), *wait], **pipes)
            self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.communicate("\n")


class Side:
    """A peer at one row: its process, the way it runs and what was measured."""

    def __init__(self, peer, name, process, way):
        self.peer, self.name, self.process, self.way = peer, name, process, way
        self.runs, self.output, self.error = [], None, None


def fastest(process, peer, name, warm_ups, wanted, log):
    """Prepares a peer in the fastest of its ways, found by one run of each after a warm-up, or in the one that is wanted."""
    if wanted is not None or len(peer.ways) == 1:
        way = peer.ways[0] if wanted is None else wanted
        process.prepare(name, way)
        return way
    import peer as peers

    tried = {}
    for way in peer.ways:
        try:
            process.prepare(name, way)
            for _ in range(warm_ups):
                process.run()
            tried[way] = process.run()["seconds"]
            print(f"  {peer.name}, {way}: {tried[way]:.3f} s", flush=True)
        except peers.Failed as error:
            print(f"  {peer.name}, {way}: {error}", flush=True)
    if not tried:
        raise peers.Failed("none of its ways runs")
    best = min(tried, key=tried.get)
    process.prepare(name, best)
    return best


def warm_ups_of(peer, name, arguments):
    """Runs of a peer at a row before the timed ones."""
    from work import WORK

    if WORK[name].network == "transform":
        return 0
    return min(arguments.warm_ups, peer.warm_ups or arguments.warm_ups)


def prepare(peer, name, arguments, models, log):
    """A side that is ready and warm; a side with an error where the peer cannot do the row."""
    import peer as peers
    from work import WORK

    warm_ups = warm_ups_of(peer, name, arguments)
    wanted = json.loads(arguments.ways or "{}").get(peer.name)
    side = Side(peer, name, None, None)
    try:
        side.process = peers.start(peer, name, arguments.threads, models, log, int(arguments.kept * 2**30))
        side.way = fastest(side.process, peer, name, warm_ups, wanted, log)
        whole = WORK[name].network == "transform"
        if peer.kind != "sdcpp" or whole:  # a short run of stable-diffusion.cpp is no row's output
            side.output = models / "out" / f"{name}.{peer.name.replace(' ', '_')}.{'png' if whole or name == 'starter' else 'safetensors'}"
        # The last one is made in turn with the others', since preparing these takes minutes.
        for _ in range(warm_ups - 1):
            side.process.run()
    except peers.Failed as error:
        side.error = str(error)
        print(f"  {peer.name}: {error}", flush=True)
    return side


def measure(names, chosen, arguments, models):
    """Runs the rows of one sitting on `chosen` peers, in turn; gives sides."""
    import peer as peers
    from work import WORK

    log = (models / "out" / "peers.log").open("a")
    sides = []
    for name in names:
        print(f"{WORK[name].title}", flush=True)
        sides += [prepare(peer, name, arguments, models, log) for peer in chosen if name in peer.rows]
    with Hold(arguments.hold):
        for name in names:
            whole = WORK[name].network == "transform"
            for timed in range(-1, arguments.long_rounds if whole else arguments.rounds):
                for side in sides:
                    if side.name != name or side.error or (timed < 0 and not warm_ups_of(side.peer, name, arguments)):
                        continue
                    try:
                        # The first run's output is compared; writing it is not timed.
                        run = side.process.run(side.output if timed == 0 else None)
                    except peers.Failed as error:
                        side.error = str(error)
                        continue
                    if timed >= 0:
                        side.runs.append(run)
                        print(f"  {name}, {side.peer.name}: {run['seconds']:.3f} s", flush=True)
    for side in sides:
        if side.process:
            side.process.end()
    return sides


def groups(chosen, names, size):
    """Peers that have something to do, a few at a time so that they fit into memory together; ours is in each group."""
    busy = [peer for peer in chosen if any(name in peer.rows for name in names)]
    import peer as peers

    ours, others = ([peer for peer in busy if (peer.name == peers.OURS) == mine] for mine in (True, False))
    return [ours + others[first : first + size] for first in range(0, max(len(others), 1), size)]


def compare(side, models):
    """Largest and rms difference from torch's output, over its largest value, or in grey levels for pictures."""
    import numpy as np

    from work import case_file

    if side.error or side.output is None or not side.output.exists():
        return None
    if side.output.suffix == ".png":
        from PIL import Image

        reference = models / "out" / f"{side.name}.torch.png"
        if side.peer.kind == "torch" or not reference.exists():
            return None
        got, want = (np.asarray(Image.open(file).convert("RGB"), float) for file in (side.output, reference))
        scale = 1.0
    else:
        from safetensors.numpy import load_file

        got, want = (load_file(file)["output"].astype(float) for file in (side.output, case_file(models, side.name)))
        scale = abs(want).max()
    if got.shape != want.shape:
        return {"error": f"shape {got.shape}, torch's is {want.shape}"}
    off = (got - want) / scale
    return {"most": float(abs(off).max()), "rms": float(np.sqrt((off**2).mean()))}


def main():
    arguments = read_arguments()
    if not arguments.no_setup and not arguments.show:
        set_up()
    import peer as peers
    import table
    from work import WORK

    if arguments.scaling:
        import scaling

        scaling.run(arguments)
        return
    results = json.loads(arguments.results.read_text()) if arguments.results.exists() else {"rows": {}, "peers": {}}
    if not arguments.show:
        rows = arguments.rows.split(",") if arguments.rows else [name for name in WORK if name != "sdxl_unet"]
        known = {peer.name: peer for peer in peers.PEERS}
        standard = [peer.name for peer in peers.PEERS if peer.asked or arguments.compile]
        asked = arguments.peers.split(",") if arguments.peers else standard
        for kind, unknown in (("row", set(rows) - set(WORK)), ("peer", set(asked) - set(known))):
            if unknown:
                sys.exit(f"error: {kind} {sorted(unknown)[0]!r} is not known, expected one of {', '.join(WORK if kind == 'row' else known)}")
        measure_all(rows, [known[name] for name in asked], arguments, results)
    table.show(results)
    if arguments.markdown:
        arguments.markdown.write_text(table.markdown(results), encoding="utf-8")


def measure_all(rows, asked, arguments, results):
    """Adds rows to `results` and to their file, sitting by sitting."""
    import peer as peers
    import table
    from work import WORK, make_models

    results["machine"] = table.machine(arguments.threads)
    chosen = []
    for peer in asked:
        reason = peers.missing(peer)
        results["peers"][peer.name] = {"missing": reason} if reason else {"version": peers.version(peer)}
        if reason:
            print(f"{peer.name}: {reason}")
            continue
        chosen.append(peer)
    models = arguments.models.resolve()
    make_models(models, rows)
    (models / "out").mkdir(exist_ok=True)
    for sitting in dict.fromkeys(WORK[name].sitting for name in rows):
        names = [name for name in rows if WORK[name].sitting == sitting]
        fresh = {}
        for group in groups(chosen, names, arguments.together):
            for side in measure(names, group, arguments, models):
                row = fresh.setdefault(side.name, {})
                entry = row.setdefault(side.peer.name, {"way": side.way, "error": side.error, "runs": [], "off": compare(side, models)})
                entry["runs"] += side.runs
        for name, row in fresh.items():
            kept = results["rows"].setdefault(name, {})
            for peer, entry in row.items():
                if arguments.add and peer in kept:
                    entry["runs"] = kept[peer]["runs"] + entry["runs"]
                kept[peer] = entry
        arguments.results.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
