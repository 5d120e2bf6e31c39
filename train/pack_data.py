"""Packs rendered data small enough to travel, and unpacks it into the arrays training reads.

    python pack_data.py pack --data rendered --out packed --megabytes 60
    python pack_data.py unpack --packed packed --out rendered

Every photograph travels, as WebP. The styled copies are not packed: they are rendered again from
the same plan where the cores are many, and are then the same but for the photographs' compression.
The quality is the highest that keeps the pack below the limit.
"""

import argparse
import json
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np

QUALITIES = (90, 85, 80, 75, 70, 60, 50, 40)
MEGABYTE = 1024 * 1024
LENGTH = struct.Struct("<I")


def encode(photos: np.ndarray, quality: int, limit: int) -> bytes | None:
    """Return all photographs as WebP, each after its length; None if they pass `limit` bytes."""
    packed = bytearray()
    for photo in photos:
        _, encoded = cv2.imencode(".webp", photo, [cv2.IMWRITE_WEBP_QUALITY, quality])
        packed += LENGTH.pack(len(encoded)) + encoded.tobytes()
        if len(packed) > limit:
            return None
    return bytes(packed)


def pack(data: Path, out: Path, megabytes: float) -> None:
    """Write photos.bin and plan.json."""
    photos = np.load(data / "photos.npy", mmap_mode="r")
    limit = int(megabytes * MEGABYTE) - (data / "plan.json").stat().st_size
    for quality in QUALITIES:
        packed = encode(photos, quality, limit)
        if packed is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / "photos.bin").write_bytes(packed)
            shutil.copy(data / "plan.json", out / "plan.json")
            print(f"{len(photos)} photographs, {len(packed) / MEGABYTE:.1f} MiB, {quality=}")
            return
    raise SystemExit(f"{len(photos)} photographs do not fit {megabytes} MiB at any quality")


def unpack(packed: Path, out: Path) -> None:
    """Write photos.npy, plan.json and empty arrays for the styled copies."""
    out.mkdir(parents=True, exist_ok=True)
    content, place, photos = (packed / "photos.bin").read_bytes(), 0, []
    while place < len(content):
        (length,) = LENGTH.unpack_from(content, place)
        place += LENGTH.size
        encoded = np.frombuffer(content, np.uint8, length, place)
        photos.append(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
        place += length
    np.save(out / "photos.npy", np.stack(photos))
    jobs = json.loads((packed / "plan.json").read_text("utf-8"))["jobs"]
    shape = (len(jobs), *photos[0].shape)
    np.lib.format.open_memmap(out / "styled.npy", "w+", np.uint8, shape).flush()
    np.save(out / "done.npy", np.zeros(len(jobs), np.uint8))
    shutil.copy(packed / "plan.json", out / "plan.json")
    print(f"{len(photos)} photographs, {len(jobs)} copies to render")


def main() -> None:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("--data", type=Path, required=True)
    packing.add_argument("--out", type=Path, required=True)
    packing.add_argument("--megabytes", type=float, default=60)
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("--packed", type=Path, required=True)
    unpacking.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "pack":
        pack(args.data, args.out, args.megabytes)
    else:
        unpack(args.packed, args.out)


if __name__ == "__main__":
    main()
