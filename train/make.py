"""Makes the model from a corpus: every step of this folder in its order.

    python make.py --corpus corpus --work work --minutes 600

Each step writes into a folder of --work, and one whose result is there is left out, so that the
same command goes on after a stop, and with more minutes trains on. What comes out is the folder
work/run/model, as crates/starter embeds it, and work/ATTRIBUTION.tsv. --trial runs all of it
small, to see that it runs.
"""

import argparse
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
VOCABULARY_PACKAGE = "open-clip-torch==3.3.0"
VOCABULARY = "open_clip/bpe_simple_vocab_16e6.txt.gz"
TRIAL_EVERY, TRIAL_SCALE = 100, 0.01  # pictures and copies of a trial
TRIAL_MINUTES = 1.0


def run(script: str, *arguments: str | Path | float) -> None:
    """Run a script of this folder; stop where it fails."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    print("+ " + " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def fetch_vocabulary(out: Path) -> None:
    """Take CLIP's list of merges out of the package that has it."""
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(out)]
    subprocess.run([*download, VOCABULARY_PACKAGE], check=True)
    wheel = next(out.glob("open_clip_torch-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(VOCABULARY, out)


def is_rendered(data: Path) -> bool:
    """Tell whether render_data.py has nothing left to do."""
    done = data / "done.npy"
    return done.exists() and bool(np.load(done).all())


def train(args: argparse.Namespace, minutes: float, words_minutes: float) -> None:
    """Train, or go on with it; then what finishing needs of the text encoder."""
    out, trained = args.work / "run", args.work / "trained_minutes"
    if trained.exists() and float(trained.read_text("utf-8")) >= minutes:
        return
    trained.unlink(missing_ok=True)
    options = ["--device", args.device, "--batch", args.batch, "--size", args.size, "--resume"]
    options += ["--amp"] if args.amp else []
    options += ["--init", args.init] if args.init else []
    folders = ["--data", args.work / "rendered", "--tokenizer", args.work / "tokenizer"]
    run("train.py", *folders, "--out", out, "--minutes", minutes, *options)
    model = ["--model", out / "model"]
    run("palette_words.py", "--data", args.work / "rendered", *model, "--minutes", words_minutes)
    run("finish_words.py", *model)
    run("prompt_words.py", "--out", out / "model" / "prompt_words.json")
    # A wash listens to the text encoder that it was trained with.
    shutil.rmtree(args.work / "wash", ignore_errors=True)
    trained.write_text(str(minutes), "utf-8")


def wash(work: Path, minutes: float) -> None:
    """Train the wash beside the model, which a longer run replaces."""
    model = work / "run" / "model"
    unfinished = work / "wash.unfinished"
    data = ["--data", work / "rendered", "--model", model]
    run("wash.py", *data, "--out", unfinished, "--minutes", minutes)
    unfinished.rename(work / "wash")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--corpus", type=Path, required=True)
    add("--work", type=Path, required=True, help="the folder for all that is made")
    add("--minutes", type=float, default=600, help="of training; more go on with a run")
    add("--words-minutes", type=float, default=40, help="of teaching it what finishing hears")
    add("--wash-minutes", type=float, default=60, help="of training the wash")
    add("--scale", type=float, default=1, help="multiplies the number of copies per style")
    add("--device", default="cpu", help="cpu, cuda or cuda:N, for the UNet and its text encoder")
    add("--amp", action="store_true", help="bf16 autocast; only where the machine has bf16 units")
    add("--batch", type=int, default=16)
    add("--size", type=int, default=128, help="pixels a side of most crops")
    add("--init", type=Path, help="a saved model folder to start from")
    add("--trial", action="store_true", help="a few pictures and a minute of each training")
    return parser.parse_args()


def main() -> None:
    """Do what is not done."""
    args = parse_args()
    corpus, work = args.corpus, args.work
    minutes, words_minutes = args.minutes, args.words_minutes
    wash_minutes = args.wash_minutes
    rendering: list[str | float] = ["--scale", args.scale]
    if args.trial:
        minutes = words_minutes = wash_minutes = TRIAL_MINUTES
        rendering = ["--scale", TRIAL_SCALE, "--every", TRIAL_EVERY]
    work.mkdir(parents=True, exist_ok=True)
    credited, merges = work / "ATTRIBUTION.tsv", work / VOCABULARY
    tokenizer, rendered = work / "tokenizer", work / "rendered"
    if not credited.exists():
        run("attribution.py", "--corpus", corpus, "--out", credited)
    if not merges.exists():
        fetch_vocabulary(work)
    if not (tokenizer / "tokenizer_config.json").exists():
        words = ["--words", HERE / "whole_words.txt"]
        run("make_tokenizer.py", "--bpe", merges, *words, "--out", tokenizer)
    if not is_rendered(rendered):
        run("render_data.py", "--corpus", corpus, "--out", rendered, *rendering)
    train(args, minutes, words_minutes)
    if not (work / "wash").exists():
        wash(work, wash_minutes)
    model = work / "run" / "model"
    shutil.copytree(work / "wash", model / "wash", dirs_exist_ok=True)
    print(f"the model is in {model}")


if __name__ == "__main__":
    main()
