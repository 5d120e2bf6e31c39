"""What a repaint of a part costs, against a transform: whole processes, in turn.

    cargo build --release
    python bench/inpaint.py target/release/imagegen

Repaints a tenth of a 1536x1024 picture with `--area masked`, and transforms a 512x512 picture, both at strength 0.5 with the starter's defaults.
Needs nothing but Python; prints medians and their ratio.
"""
import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

PICTURE = Path(__file__).resolve().parent.parent / "examples" / "landscape.jpg"
BOX = "500,350,486,324"  # 157,464 of 1,572,864 pixels


def timed(command):
    """Seconds that a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--intent", default="change", help="what the repaint is for")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        large, small, out = (str(Path(folder) / name) for name in ("large.png", "small.png", "out.png"))
        same = [args.binary, "transform", PICTURE, "-p", "source", "-s", "0", "--fit", "crop", "--quiet", "-o"]
        subprocess.run([*same, large, "--size", "1536x1024"], check=True)
        subprocess.run([*same, small, "--size", "512x512"], check=True)
        common = ["-p", "oil painting", "-s", "0.5", "--seed", "1", "--quiet", "-o", out]
        transform = [args.binary, "transform", small, *common]
        repaint = [args.binary, "inpaint", large, "--box", BOX, "--area", "masked", "--intent", args.intent, *common]
        times = {"transform": [], "repaint": []}
        for _ in range(args.rounds):
            times["transform"].append(timed(transform))
            times["repaint"].append(timed(repaint))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s median of {args.rounds} ({min(times[name]):.2f} to {max(times[name]):.2f})")
    print(f"ratio: {medians['repaint'] / medians['transform']:.2f}")


if __name__ == "__main__":
    main()
