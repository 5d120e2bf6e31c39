#!/usr/bin/env bash
# Makes docs/pictures/inpainting/*.jpg, the gallery of docs/inpainting.md, with our own binary and nothing else.
#
#     tools/inpainting_pictures.sh [BINARY]
#
# Builds the binary unless one is named, then makes every picture again: same seed, same pixels on any machine.
# For each NAME there is NAME-mask.jpg, the source with what may change tinted, and NAME.jpg, the result.
set -euo pipefail
cd "$(dirname "$0")/.."

imagegen=${1:-target/release/imagegen}
[ $# -gt 0 ] || cargo build --release --locked --quiet
pictures=docs/pictures/inpainting
mkdir -p "$pictures"
rm -f "$pictures"/*.jpg
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# small NAME PICTURE: 320 pixels on the longer side; strength 0 changes nothing else.
small() {
    "$imagegen" transform "$2" --size 320 -p "" -s 0 --seed 1 --quiet -o "$pictures/$1.jpg" 2> "$scratch/said" || { cat "$scratch/said" >&2; exit 1; }
}

# repaint NAME SOURCE "MASK OPTIONS" OPTIONS...
repaint() {
    local name=$1 source=examples/$2 mask=$3
    shift 3
    # shellcheck disable=SC2086
    "$imagegen" mask "$source" $mask --over --quiet -o "$scratch/$name-mask.png"
    # shellcheck disable=SC2086
    "$imagegen" inpaint "$source" $mask "$@" --seed 1 --quiet -o "$scratch/$name.png"
    small "$name-mask" "$scratch/$name-mask.png"
    small "$name" "$scratch/$name.png"
}

# expand NAME SOURCE SIDES OPTIONS...
expand() {
    local name=$1 source=examples/$2 sides=$3
    shift 3
    "$imagegen" inpaint "$source" --expand "$sides" "$@" --seed 1 --quiet -o "$scratch/$name.png"
    small "$name-mask" "$source"
    small "$name" "$scratch/$name.png"
}

repaint change-landscape landscape.jpg "--box 0,440,960,200 --feather 60" -p "impressionist painting"
repaint change-cat cat.jpg "--box 0,0,226,300" -p "pencil sketch"
repaint fill-portrait portrait.jpg "--box 0,0,95,170 --feather 6" --intent fill -p "sharp, detailed photo"
repaint fill-product product.jpg "--box 0,0,150,100 --feather 6" --intent fill -p "sharp, detailed photo"
repaint background-product product.jpg "--protect subject" --intent replace-background -p "in winter, snow"
repaint background-landscape landscape.jpg "--key a3bbee:30" --intent replace-background -p "at night"
repaint add-product product.jpg "--protect subject" --intent add -p "in winter, snow"
repaint add-landscape landscape.jpg "--box 0,420,960,220 --feather 60" --intent add -p "in autumn"
repaint remove-portrait portrait.jpg "--box 128,343,88,86" --intent remove
repaint remove-landscape landscape.jpg "--box 60,150,130,110" --intent remove
repaint refine-cat cat.jpg "--box 100,60,270,220 --feather 20" --intent refine -p "sharp, detailed photo"
repaint refine-portrait portrait.jpg "--only faces" --intent refine -p "sharp, detailed photo"
expand expand-landscape landscape.jpg left=160,right=160 -p "sharp, detailed photo" -s 0.4
expand expand-product product.jpg right=160,top=60 -p "sharp, detailed photo" -s 0.4

du -cb "$pictures"/*.jpg | tail -n 1
