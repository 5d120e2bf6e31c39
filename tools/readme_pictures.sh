#!/usr/bin/env bash
# Makes docs/pictures/*.jpg, the pictures the README shows, with our own binary and nothing else.
#
#     tools/readme_pictures.sh
#
# Builds the binary, then makes every picture again: same seed, same pixels on any machine.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet
mkdir -p docs/pictures
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# small NAME PICTURE: 288 pixels on the longer side; strength 0 changes nothing else.
small() {
    target/release/imagegen transform "$2" --size 288 -p "source" -s 0 --seed 1 --quiet -o "docs/pictures/$1.jpg"
}

# picture NAME SOURCE PROMPT STRENGTH: worked at 512 pixels, shown small.
picture() {
    target/release/imagegen transform "examples/$2" --size 512 -p "$3" -s "$4" --seed 1 --quiet \
        -o "$scratch/$1.png"
    small "$1" "$scratch/$1.png"
}

small landscape examples/landscape.jpg
picture landscape-oil landscape.jpg "oil painting, impressionist style, warm palette" 0.5
picture landscape-watercolour landscape.jpg "watercolour illustration, soft colours, painterly" 0.5
small portrait examples/portrait.jpg
for strength in 0.35 0.5 0.65; do
    picture "portrait-oil-$strength" portrait.jpg "oil painting portrait, impressionist style, warm palette" "$strength"
done
small sketch examples/sketch.png
picture sketch-watercolour sketch.png "watercolour painting of a house, green meadow, blue sky" 0.7
picture sketch-oil sketch.png "oil painting, impressionist style, blue and green" 0.7
picture sketch-comic sketch.png "comic book illustration, blue sky" 0.7

ls -l docs/pictures
du -cb docs/pictures/*.jpg | tail -n 1
