"""Renders the styled copies once, into memory-mapped arrays that training reads.

    python render_data.py --corpus corpus --out data --procs 2

`corpus` holds scenes/, things/ and paintings/ (NNNNN.webp and index.jsonl each). A run that was
stopped goes on where it was: a copy that is done is never rendered twice. Writes

    plan.json    {"rows": the pictures, "jobs": [[row, style], ...]}
    photos.npy   u8 [rows, 256, 256, 3], BGR as the renderers want it
    styled.npy   u8 [jobs, 256, 256, 3], RGB
    done.npy     u8 [jobs], 1 where the copy is rendered
"""

import argparse
import json
import multiprocessing
import os
import random
import time
from pathlib import Path

import cv2
import numpy as np

import style_set
from filters import Image
from rows import Row, mark_held_out, read_rows, without_unclear

SIZE = 256
COPIES = {
    "oil": 1300,
    "impressionist": 1300,
    "oil_bold": 200,
    "watercolour": 1300,
    "pencil": 1100,
    "colour_pencil": 900,
    "comic": 1200,
    "pixel": 1200,
    "pixel_fine": 200,
    "charcoal": 200,
    "pastel": 200,
    "ink": 200,
    "stained": 200,
    "lowpoly": 200,
    "autumn": 1100,
    "winter": 1100,
    "sunset": 600,
    "night": 900,
    "fog": 200,
}
"""Style -> number of copies at scale 1."""
SKETCHES = 1200
SCENE_SHARE = 0.6  # of the art styles: scenes are rarer than things but matter more

Job = tuple[int, str]


class Deck:
    """Deals rows from a shuffled deck, so that copies spread evenly over the photographs."""

    def __init__(self, rows: list[int], rng: random.Random) -> None:
        self._rows, self._rng, self._left = rows, rng, []

    def deal(self) -> int:
        """Return the next row; a used-up deck is shuffled anew."""
        if not self._left:
            self._left = self._rows[:]
            self._rng.shuffle(self._left)
        return self._left.pop()


def plan_jobs(rows: list[Row], scale: float, seed: int = 11) -> list[Job]:
    """Choose which picture gets a copy in which style; in random order."""
    rng = random.Random(seed)
    pools = {
        pack: [index for index, row in enumerate(rows) if row["pack"] == pack]
        for pack in ("scenes", "things")
    }
    decks = {pack: Deck(pool, rng) for pack, pool in pools.items()}
    jobs, planned = [], set()
    for style, copies in COPIES.items():
        for _ in range(int(copies * scale)):
            scene = style in style_set.SCENE_ONLY or rng.random() < SCENE_SHARE
            for _attempt in range(5):
                row = decks["scenes" if scene else "things"].deal()
                # Above scale 2 some repeat anyway; the seed of a copy differs.
                if (row, style) not in planned or scale > 2:
                    break
            planned.add((row, style))
            jobs.append((row, style))
    photographs = pools["scenes"] + pools["things"]
    rng.shuffle(photographs)
    jobs += [(row, "sketch") for row in photographs[: int(SKETCHES * scale)]]
    rng.shuffle(jobs)
    return jobs


def load_picture(path: Path) -> Image:
    """Read a picture as BGR u8 `[256, 256, 3]`."""
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"cannot read {path}")
    if image.shape[:2] != (SIZE, SIZE):
        image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return image


def render_share(worker: int, workers: int, out: Path, jobs: list[Job]) -> None:
    """Render every job whose number leaves `worker` when divided by `workers`."""
    cv2.setNumThreads(1)
    photos = np.load(out / "photos.npy", mmap_mode="r")
    styled = np.load(out / "styled.npy", mmap_mode="r+")
    done = np.load(out / "done.npy", mmap_mode="r+")
    started = time.monotonic()
    for number in range(worker, len(jobs), workers):
        if done[number]:
            continue
        row, style = jobs[number]
        try:
            styled[number] = style_set.render(style, np.array(photos[row]), number)[..., ::-1]
            done[number] = 1
        except (ValueError, cv2.error) as error:  # only this copy is lost
            print(f"failed: {style} of picture {row}: {error!r}", flush=True)
        if worker == 0 and (number // workers) % 500 == 0:
            print(f"{number}/{len(jobs)} {time.monotonic() - started:.0f} s", flush=True)


def prepare_arrays(corpus: Path, out: Path, rows: list[Row], jobs: list[Job]) -> None:
    """Write the photographs and empty arrays, unless an earlier run did; then the plan."""
    plan = json.loads(json.dumps({"rows": rows, "jobs": jobs}))
    plan_path = out / "plan.json"
    if plan_path.exists() and json.loads(plan_path.read_text("utf-8")) != plan:
        raise SystemExit(f"{plan_path} is the plan of another corpus or scale; use an empty folder")
    plan_path.write_text(json.dumps(plan), "utf-8")
    shape = (SIZE, SIZE, 3)
    if not (out / "photos.npy").exists():
        unfinished = out / "photos.tmp.npy"
        photos = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (len(rows), *shape))
        for index, row in enumerate(rows):
            photos[index] = load_picture(corpus / row["pack"] / row["file"])
        photos.flush()
        unfinished.rename(out / "photos.npy")
    if not (out / "done.npy").exists():
        styled_shape = (len(jobs), *shape)
        np.lib.format.open_memmap(out / "styled.npy", "w+", np.uint8, styled_shape).flush()
        np.save(out / "done.npy", np.zeros(len(jobs), np.uint8))


def main() -> None:
    """Plan, prepare, render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--corpus", type=Path, help="not needed to go on with a plan that is in --out already"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--procs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--scale", type=float, default=1, help="multiplies the number of copies per style"
    )
    parser.add_argument(
        "--every", type=int, default=1, help="take each N-th picture only, for a quick trial"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.corpus:
        rows = read_rows(args.corpus)
        mark_held_out(rows)
        rows = without_unclear(rows)[:: args.every]
        jobs = plan_jobs(rows, args.scale)
        prepare_arrays(args.corpus, args.out, rows, jobs)
    else:
        plan = json.loads((args.out / "plan.json").read_text("utf-8"))
        rows, jobs = plan["rows"], plan["jobs"]
    held_out = sum(row["val"] for row in rows)
    print(f"{len(rows)} pictures, {held_out} held out, {len(jobs)} copies", flush=True)
    workers = [
        multiprocessing.Process(target=render_share, args=(worker, args.procs, args.out, jobs))
        for worker in range(args.procs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"done: {int(np.load(args.out / 'done.npy').sum())} of {len(jobs)}")


if __name__ == "__main__":
    main()
