#!/usr/bin/env bash
# Makes docs/pictures/inpaint/*.jpg, the gallery of docs/inpainting.md, with our own binary and nothing else.
#
#     tools/inpainting_pictures.sh [BINARY]
#
# Builds the binary unless one is named, then makes every picture again: same seed, same pixels on any machine.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:-target/release/imagegen}
[ $# -gt 0 ] || cargo build --release --locked --quiet
gallery=docs/pictures/inpaint
mkdir -p "$gallery"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# shrunk SOURCE SIDE RESULT: the source itself, smaller.
shrunk() {
    "$binary" transform "$1" --size "$2" -p "source" -s 0 --seed 1 --quiet -o "$3"
}

# painted NAME SOURCE OPTIONS...: one picture of the gallery.
painted() {
    local name=$1 source=$2
    shift 2
    "$binary" inpaint "$source" "$@" --seed 1 --quiet -o "$scratch/$name.png"
    shrunk "$scratch/$name.png" 288 "$gallery/$name.jpg"
}

shrunk examples/landscape.jpg 480 "$scratch/landscape.png"
shrunk examples/product.jpg 480 "$scratch/product.png"
land=$scratch/landscape.png cup=$scratch/product.png
rock=(--box 150,30,130,120 --feather 6)
saucer=(--box 330,190,110,90 --feather 6)

for name in landscape product; do
    shrunk "$scratch/$name.png" 288 "$gallery/$name.jpg"
    "$binary" mask "$scratch/$name.png" --only subject --over --quiet -o "$scratch/over.png"
    shrunk "$scratch/over.png" 288 "$gallery/$name-subject.jpg"
done
painted landscape-change "$land" "${rock[@]}" -p "oil painting, impressionist style, warm palette"
painted product-change "$cup" "${saucer[@]}" -p "oil painting, impressionist style, warm palette"
painted landscape-fill "$land" --intent fill "${rock[@]}" -p "winter"
painted product-fill "$cup" --intent fill "${saucer[@]}" -p "winter"
painted landscape-replace "$land" --intent replace-background --protect subject -p "winter, snow"
painted product-replace "$cup" --intent replace-background -p "winter, snow"
painted landscape-add "$land" --intent add --box 300,20,120,70 --feather 6 -p "autumn, warm light"
painted product-add "$cup" --intent add "${saucer[@]}" -p "autumn, warm light"
painted landscape-remove "$land" --intent remove --box 30,60,60,40 --feather 3 -p ""
painted product-remove "$cup" --intent remove --box 380,215,40,40 --feather 3 -p ""
painted landscape-refine "$land" --intent refine "${rock[@]}" -p "sharp photograph"
painted product-refine "$cup" --intent refine "${saucer[@]}" -p "sharp photograph"
painted landscape-expand "$land" --expand left=64,right=64 -p "winter"
painted product-expand "$cup" --expand top=48,bottom=48 -p "autumn"

ls -l "$gallery"
du -cb "$gallery"/*.jpg | tail -n 1
