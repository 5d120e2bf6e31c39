//! Filling, pasting and seams: nothing outside a mask changes, and edges that a plain paste leaves are
//! gone.

use imagegen_picture::mask::Mask;
use imagegen_picture::{Paste, Picture, Rect, Seam, Size, fill, kept, paste, seam};
use proptest::prelude::*;

use crate::make::*;

fn whole(size: Size) -> Rect {
    Rect { x: 0, y: 0, size }
}

fn boxed(size: Size, x: u32, y: u32, width: u32, height: u32) -> Mask {
    let mut mask = Mask::empty(size);
    let size = Size::new(width, height);
    mask.add_box(Rect { x, y, size }).expect("a box inside");
    mask
}

/// What a program does that thinks of nothing: painted pixels where the mask is.
fn plain_paste(source: &Picture, painted: &Picture, mask: &Mask) -> Picture {
    let mut rgb = source.rgb().to_vec();
    for (index, &coverage) in mask.coverage().iter().enumerate() {
        if coverage > 0 {
            rgb[index * 3..][..3].copy_from_slice(&painted.rgb()[index * 3..][..3]);
        }
    }
    Picture::new(source.size(), rgb, None).expect("planes of that size")
}

const HOW: Paste = Paste {
    band: 3.0,
    ring: 8.0,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_outside_the_mask_changes(
        width in 1u32..50, height in 1u32..50, seed: u64, alpha: bool, band in 0.0f32..20.0, ring in 0.0f32..20.0,
    ) {
        let size = Size::new(width, height);
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        let source = painted(width, height, |_, _| [0; 3]);
        let mut planes = |picture: Picture| {
            let rgb = picture.rgb().iter().map(|_| draw()).collect();
            let alpha = alpha.then(|| (0..size.pixels()).map(|_| draw()).collect());
            Picture::new(size, rgb, alpha).expect("planes of that size")
        };
        let (source, other) = (planes(source.clone()), planes(source));
        let coverage = (0..size.pixels()).map(|_| match draw() { 0..100 => 0, 100..200 => 255, grey => grey });
        let mask = Mask::new(size, coverage.collect());
        let painted = other.with_alpha(None).expect("no plane");
        let made = paste(&source, &painted, whole(size), &mask, Paste { band, ring });
        for (index, &coverage) in mask.coverage().iter().enumerate() {
            if coverage == 0 {
                prop_assert_eq!(&made.rgb()[index * 3..][..3], &source.rgb()[index * 3..][..3]);
            }
        }
        prop_assert_eq!(made.alpha(), source.alpha());
        let found = kept(&source, &made, &mask);
        let outside = mask.coverage().iter().filter(|&&c| c == 0).count() as u64;
        prop_assert_eq!((found.checked, found.differing), (outside, 0));
    }

    #[test]
    fn a_fill_reads_nothing_of_what_it_fills(width in 1u32..60, height in 1u32..60, seed in 0u32..999) {
        let size = Size::new(width, height);
        let one = busy(width, height);
        let coverage = (0..width * height).map(|i| if (i * 7919 + seed) % 5 < 2 { 255 } else { (i % 255) as u8 });
        let mask = Mask::new(size, coverage.collect());
        let other: Vec<u8> = one.rgb().chunks_exact(3).zip(mask.coverage()).flat_map(|(rgb, &c)| match c {
            255 => [255 - rgb[0], 9, rgb[2] ^ 85],
            _ => [rgb[0], rgb[1], rgb[2]],
        }).collect();
        let other = Picture::new(size, other, None).expect("planes of that size");
        let (a, b) = (fill(&one, &mask), fill(&other, &mask));
        prop_assert_eq!(&a, &b);
        let same = |i: usize| a.rgb()[i * 3..][..3] == one.rgb()[i * 3..][..3];
        prop_assert!(mask.coverage().iter().enumerate().all(|(i, &c)| c == 255 || same(i)));
    }
}

#[test]
fn a_difference_outside_is_counted() {
    let source = busy(20, 10);
    let mask = boxed(source.size(), 5, 5, 4, 4);
    let mut rgb = source.rgb().to_vec();
    rgb[0] ^= 1; // outside
    rgb[(6 * 20 + 6) * 3] ^= 1; // inside
    let made = Picture::new(source.size(), rgb, None).unwrap();
    let found = kept(&source, &made, &mask);
    assert_eq!((found.checked, found.differing), (184, 1));
    let clear = source.clone().with_alpha(Some(vec![255; 200])).unwrap();
    let half = source.with_alpha(Some(vec![254; 200])).unwrap();
    assert_eq!(kept(&clear, &half, &mask).differing, 184, "alpha counts");
}

#[test]
fn flat_pictures_are_filled_with_their_colour_and_full_masks_grey() {
    let flat = Picture::filled(Size::new(37, 23), [10, 200, 90]).unwrap();
    assert_eq!(fill(&flat, &boxed(flat.size(), 5, 5, 20, 10)), flat);
    let grey = fill(&flat, &Mask::full(flat.size()));
    assert!(grey.rgb().iter().all(|&value| value == 128));
    // A ramp goes on through the hole, from its lower value on one side to the higher on the other.
    let ramp = painted(60, 20, |x, _| [(x * 4) as u8; 3]);
    let filled = fill(&ramp, &boxed(ramp.size(), 20, 0, 20, 20));
    let row: Vec<u8> = (20..40).map(|x| filled.pixel(x, 10)[0]).collect();
    assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
    assert!(row[0] < 100 && row[19] > 140, "{row:?}");
}

#[test]
fn all_that_is_covered_is_painted_to_the_pictures_edge() {
    let source = Picture::filled(Size::new(64, 48), [100; 3]).unwrap();
    let painted = Picture::filled(Size::new(64, 48), [180, 60, 20]).unwrap();
    let plain = Paste {
        band: 4.0,
        ring: 0.0,
    };
    // In a corner the picture's own edges are no edges of the mask.
    let corner = paste(
        &source,
        &painted,
        whole(source.size()),
        &boxed(source.size(), 44, 30, 20, 18),
        plain,
    );
    for (x, y) in [(63, 47), (63, 36), (52, 47)] {
        assert_eq!(corner.pixel(x, y), [180, 60, 20], "{x},{y}");
    }
    assert_eq!(corner.pixel(43, 40), [100; 3]);
    let first = corner.pixel(44, 40)[0];
    assert!(
        first > 100 && first < 180,
        "detail changes over inside the edge: {first}"
    );
    for (x, y) in [(30, 20), (0, 0), (63, 47)] {
        let one = paste(
            &source,
            &painted,
            whole(source.size()),
            &boxed(source.size(), x, y, 1, 1),
            plain,
        );
        assert_eq!(one.pixel(x, y), [180, 60, 20], "a mask of one pixel");
    }
    let full = paste(
        &source,
        &painted,
        whole(source.size()),
        &Mask::full(source.size()),
        HOW,
    );
    assert_eq!(full, painted);
}

#[test]
fn grey_fades_in_and_half_takes_all() {
    let source = Picture::filled(Size::new(256, 8), [100; 3]).unwrap();
    let painted = Picture::filled(Size::new(256, 8), [200; 3]).unwrap();
    let ramp = Mask::new(
        source.size(),
        (0..256 * 8).map(|i| (i % 256) as u8).collect(),
    );
    let plain = Paste {
        band: 0.0,
        ring: 0.0,
    };
    let made = paste(&source, &painted, whole(source.size()), &ramp, plain);
    let row: Vec<u8> = (0..256).map(|x| made.pixel(x, 4)[0]).collect();
    assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
    assert_eq!((row[0], row[128], row[255]), (100, 200, 200));
}

#[test]
fn a_part_is_pasted_where_it_belongs() {
    let source = busy(80, 60);
    let place = Rect {
        x: 20,
        y: 10,
        size: Size::new(30, 40),
    };
    let mask = boxed(source.size(), 25, 20, 12, 12);
    let part = source.part(place);
    assert_eq!(
        paste(&source, &part, place, &mask, HOW),
        source,
        "the source's own part changes nothing"
    );
}

/// A scene, what a model made of it, and its mask: the model got light or colour wrong, as they do.
fn scenes() -> Vec<(&'static str, Picture, Picture, Mask)> {
    let size = Size::new(160, 120);
    let mask = boxed(size, 50, 36, 60, 48);
    let noise = |x: u32, y: u32| {
        let mixed = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
        (mixed ^ mixed >> 13).wrapping_mul(0xC2B2_AE35) >> 24
    };
    let sky = |shift: f64, tilt: f64| {
        painted(160, 120, move |x, y| {
            let value = 90.0 + f64::from(y) * 0.6 + shift + tilt * (f64::from(x) - 80.0);
            [value as u8, (value + 20.0) as u8, (value + 40.0) as u8]
        })
    };
    let grass = |shift: u32| {
        painted(160, 120, move |x, y| {
            let value = 60 + noise(x, y) / 6;
            [
                (value + shift) as u8,
                (value + 40 + shift) as u8,
                value as u8,
            ]
        })
    };
    vec![
        ("too light", sky(0.0, 0.0), sky(14.0, 0.0), mask.clone()),
        (
            "light from the wrong side",
            sky(0.0, 0.0),
            sky(4.0, 0.2),
            mask.clone(),
        ),
        ("colour cast on texture", grass(0), grass(16), mask),
    ]
}

#[test]
fn edges_that_a_plain_paste_leaves_are_gone() {
    for (name, source, painted, mask) in scenes() {
        let plain = seam(&plain_paste(&source, &painted, &mask), &mask).unwrap();
        assert!(plain.is_visible(), "{name}, plain: {plain:?}");
        let made = paste(&source, &painted, whole(source.size()), &mask, HOW);
        let ours = seam(&made, &mask).unwrap();
        assert!(ours.figure < 1.4, "{name}: {ours:?}");
        assert_eq!(kept(&source, &made, &mask).differing, 0, "{name}");
        let own = seam(&source, &mask).unwrap();
        assert!(own.figure < 1.4, "{name}, the source itself: {own:?}");
    }
}

#[test]
fn another_thing_at_the_edge_does_not_colour_what_is_painted() {
    // A bright thing beside the mask, where the model painted it dark: no light spills over.
    let source = painted(120, 80, |x, _| if x < 40 { [240; 3] } else { [60; 3] });
    let dark = Picture::filled(source.size(), [60; 3]).unwrap();
    let made = paste(
        &source,
        &dark,
        whole(source.size()),
        &boxed(source.size(), 40, 10, 60, 60),
        HOW,
    );
    let spill = made.pixel(48, 40)[0];
    assert!(spill <= 66, "{spill}");
}

#[test]
fn masks_without_an_edge_have_no_seam() {
    let picture = busy(40, 40);
    for mask in [Mask::empty(picture.size()), Mask::full(picture.size())] {
        assert_eq!(seam(&picture, &mask), None);
    }
    let seen = Seam {
        across: 1.0,
        outside: 1.0,
        figure: 2.5,
    };
    assert!(seen.is_visible());
}
