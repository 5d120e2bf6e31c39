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

# picture NAME SOURCE LONGEST PROMPT STRENGTH: strength 0 is the source itself, only smaller.
picture() {
    target/release/imagegen transform "examples/$2" --size "$3" -p "$4" -s "$5" --seed 1 --quiet \
        -o "docs/pictures/$1.jpg"
}

picture landscape landscape.jpg 512 "source" 0
picture landscape-watercolour landscape.jpg 512 "watercolour illustration, soft colours, painterly" 0.5
picture landscape-oil landscape.jpg 512 "oil painting, impressionist style, warm palette" 0.5
picture portrait portrait.jpg 384 "source" 0
picture portrait-oil portrait.jpg 384 "oil painting portrait, impressionist style, warm palette" 0.5
picture product product.jpg 512 "source" 0
picture product-winter product.jpg 512 "winter" 0.5
for strength in 0.35 0.5 0.65; do
    picture "landscape-sketch-$strength" landscape.jpg 512 "pencil sketch" "$strength"
done

ls -l docs/pictures
du -cb docs/pictures/*.jpg | tail -n 1
