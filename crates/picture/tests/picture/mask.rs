//! Masks: laws over random sizes and coverage, and how pictures of every kind are read as masks.

use imagegen_picture::mask::{
    ColourKey, DARK, Doubt, Ellipse, LIGHT, Mask, MaskError, MaskWarning,
};
use imagegen_picture::mask::{depth, subject};
use imagegen_picture::{Fit, FitRequest, Picture, Rect, Size, Wanted, plan};
use proptest::prelude::*;

use crate::make::*;

/// Random masks of random sizes, most of them not all grey.
fn masks() -> impl Strategy<Value = Mask> {
    (1u32..40, 1u32..40).prop_flat_map(|(width, height)| {
        let values = prop_oneof![3 => Just(0u8), 3 => Just(255u8), 1 => any::<u8>()];
        proptest::collection::vec(values, (width * height) as usize)
            .prop_map(move |coverage| Mask::new(Size::new(width, height), coverage))
    })
}

fn pairs() -> impl Strategy<Value = (Mask, Mask)> {
    masks().prop_flat_map(|mask| {
        let size = mask.size();
        proptest::collection::vec(any::<u8>(), mask.coverage().len())
            .prop_map(move |other| (mask.clone(), Mask::new(size, other)))
    })
}

fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect {
        x,
        y,
        size: Size::new(width, height),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_mask_comes_back_from_its_picture(mask in masks()) {
        let read = Mask::from_picture(&mask.picture()).unwrap();
        let rounded = |&c: &u8| match c {
            0..DARK => 0,
            c if c > LIGHT => 255,
            c => c,
        };
        let want: Vec<u8> = mask.coverage().iter().map(rounded).collect();
        prop_assert_eq!(read.mask.coverage(), &want);
        prop_assert_eq!(read.warnings.is_empty(), want == mask.coverage());
    }

    #[test]
    fn alpha_counts_as_brightness_does((mask, alpha) in pairs()) {
        let picture = mask.picture().with_alpha(Some(alpha.coverage().to_vec())).unwrap();
        let read = Mask::from_picture(&picture).unwrap().mask;
        for ((&got, &c), &a) in read.coverage().iter().zip(mask.coverage()).zip(alpha.coverage()) {
            let product = f64::from(c) * f64::from(a) / 255.0;
            let want = match product {
                p if p < f64::from(DARK) - 0.5 => 0.0,
                p if p > f64::from(LIGHT) + 0.5 => 255.0,
                p => p,
            };
            prop_assert!((f64::from(got) - want).abs() <= 0.5);
        }
    }

    #[test]
    fn union_and_difference_obey_the_laws_of_sets((a, b) in pairs()) {
        let not = |mask: &Mask| mask.clone().inverted();
        prop_assert_eq!(not(&not(&a)), a.clone());
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&a), a.clone());
        // What is in a or b is what is not outside both.
        prop_assert_eq!(not(&a.union(&b)), not(&a).minus(&b));
        prop_assert!(a.minus(&Mask::full(a.size())).is_empty());
        prop_assert_eq!(a.minus(&Mask::empty(a.size())), a.clone());
    }

    #[test]
    fn growing_takes_the_largest_within_a_disc(mask in masks(), pixels in 0u32..12) {
        let (grown, Size { width, height }) = (mask.grown(pixels), mask.size());
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let near = (0..height).flat_map(|v| (0..width).map(move |u| (u, v))).filter(|&(u, v)| {
                let (across, down) = (u.abs_diff(x), v.abs_diff(y));
                across * across + down * down <= pixels * pixels
            });
            let most = near.map(|(u, v)| mask.coverage()[(v * width + u) as usize]).max();
            prop_assert_eq!(Some(grown.coverage()[(y * width + x) as usize]), most);
        }
    }

    #[test]
    fn shrinking_is_growing_what_is_kept(mask in masks(), pixels in 0u32..8) {
        prop_assert_eq!(mask.shrunk(pixels), mask.clone().inverted().grown(pixels).inverted());
        // What was shrunk and grown again stays inside.
        let opened = mask.shrunk(pixels).grown(pixels);
        prop_assert!(opened.coverage().iter().zip(mask.coverage()).all(|(a, b)| a <= b));
        prop_assert!(Mask::full(mask.size()).shrunk(pixels).is_full());
    }

    #[test]
    fn feathering_keeps_the_range_and_what_is_flat(mask in masks(), pixels in 0u32..20) {
        let soft = mask.feathered(pixels);
        let range = |mask: &Mask| (mask.coverage().iter().min().copied(), mask.coverage().iter().max().copied());
        prop_assert!(range(&soft).0 >= range(&mask).0 && range(&soft).1 <= range(&mask).1);
        for flat in [Mask::empty(mask.size()), Mask::full(mask.size())] {
            prop_assert_eq!(flat.feathered(pixels), flat);
        }
        let turned = mask.clone().inverted().feathered(pixels).inverted();
        let off = turned.coverage().iter().zip(soft.coverage()).map(|(a, b)| a.abs_diff(*b)).max();
        prop_assert!(off <= Some(1), "rounding half up is not symmetric, more is wrong");
    }

    #[test]
    fn bounds_hold_every_covered_pixel_and_no_more(mask in masks()) {
        let Some(bounds) = mask.bounds() else {
            prop_assert!(mask.is_empty());
            return Ok(());
        };
        let mut all = Mask::empty(mask.size());
        all.add_box(bounds).unwrap();
        prop_assert!(mask.coverage().iter().zip(all.coverage()).all(|(&c, &b)| c == 0 || b == 255));
        let Rect { x, y, size } = bounds;
        let line = |inside: &dyn Fn(u32, u32) -> bool| {
            let width = mask.size().width;
            mask.coverage().iter().enumerate().any(|(i, &c)| c > 0 && inside(i as u32 % width, i as u32 / width))
        };
        prop_assert!(line(&|u, _| u == x) && line(&|u, _| u == x + size.width - 1));
        prop_assert!(line(&|_, v| v == y) && line(&|_, v| v == y + size.height - 1));
    }

    #[test]
    fn a_cell_is_covered_as_much_as_any_of_its_pixels(mask in masks(), side in 1u32..10) {
        let cells = mask.cells(side);
        let (across, width) = (mask.size().width.div_ceil(side), mask.size().width);
        let mut most = vec![0; cells.len()];
        for (index, &coverage) in mask.coverage().iter().enumerate() {
            let (x, y) = (index as u32 % width, index as u32 / width);
            let cell = &mut most[(y / side * across + x / side) as usize];
            *cell = coverage.max(*cell);
        }
        prop_assert_eq!(cells, most);
    }

    #[test]
    fn no_covered_pixel_is_lost_at_the_working_size(
        size in (1u32..300, 1u32..300), at in (0.0..1.0, 0.0..1.0), budget in 4096u64..65_536,
    ) {
        let size = Size::new(size.0, size.1);
        let (x, y) = ((at.0 * f64::from(size.width)) as u32, (at.1 * f64::from(size.height)) as u32);
        let mut mask = Mask::empty(size);
        mask.add_box(rect(x, y, 1, 1)).unwrap();
        let request = FitRequest {
            source: size,
            wanted: Wanted::Source,
            fit: Fit::Keep,
            grid: 16,
            budget_pixels: budget,
            min_side: 64,
        };
        let work = mask.to_work(&plan(&request).unwrap());
        prop_assert!(work.coverage().contains(&255));
        let full = Mask::full(size).to_work(&plan(&request).unwrap());
        prop_assert!(full.is_full());
    }

    #[test]
    fn depth_is_the_distance_to_the_nearest_kept_pixel(mask in masks()) {
        let width = mask.size().width as usize;
        let kept: Vec<usize> = (0..mask.coverage().len()).filter(|&i| mask.coverage()[i] == 0).collect();
        for (index, &found) in depth(&mask).iter().enumerate() {
            let away = |&other: &usize| {
                let across = (index % width).abs_diff(other % width) as f64;
                let down = (index / width).abs_diff(other / width) as f64;
                across.hypot(down)
            };
            let want = kept.iter().map(away).fold(f64::INFINITY, f64::min);
            // One rounding of a root to f32.
            prop_assert!(f64::from(found) == want || (f64::from(found) - want).abs() < 1e-5);
        }
    }

    #[test]
    fn boxes_outside_are_named(x in 0u32..60, y in 0u32..60, w in 0u32..60, h in 0u32..60) {
        let mut mask = Mask::empty(Size::new(40, 30));
        let added = mask.add_box(rect(x, y, w, h));
        if w == 0 || h == 0 {
            let refused = matches!(added, Err(MaskError::NoPixels { .. }));
            prop_assert!(refused);
        } else if x + w > 40 || y + h > 30 {
            let words = added.unwrap_err().to_string();
            prop_assert_eq!(words, format!("box {x},{y},{w},{h} is not inside the picture of 40x30"));
        } else {
            prop_assert_eq!(mask.bounds(), Some(rect(x, y, w, h)));
            prop_assert_eq!(mask.share(), f64::from(w * h) / 1200.0);
        }
    }
}

/// A PNG of 8x2 grey samples of `depth` bits: rows from black to white.
fn grey_png(depth: u8) -> Vec<u8> {
    let row: Vec<u8> = match depth {
        1 => vec![0b0000_1111],
        8 => vec![0, 8, 16, 100, 128, 239, 247, 255],
        16 => [0u16, 0x0800, 0x1000, 0x6464, 0x8080, 0xEFEF, 0xF7F7, 0xFFFF]
            .into_iter()
            .flat_map(u16::to_be_bytes)
            .collect(),
        _ => unreachable!("depths of this test"),
    };
    let mut rows = Vec::new();
    for _ in 0..2 {
        rows.push(0);
        rows.extend(&row);
    }
    Png {
        size: (8, 2),
        depth,
        colour: 0,
        interlaced: false,
        before: Vec::new(),
        rows: &rows,
    }
    .bytes()
}

#[test]
fn masks_of_every_depth_are_their_colours() {
    let read = |depth| Mask::from_picture(&decode(&grey_png(depth)).picture).unwrap();
    assert_eq!(
        read(1).mask.coverage()[..8],
        [0, 0, 0, 0, 255, 255, 255, 255]
    );
    let want = [0, 0, 16, 100, 128, 239, 255, 255];
    for depth in [8, 16] {
        let read = read(depth);
        assert_eq!(read.mask.coverage()[..8], want, "{depth} bits");
        let rounded = MaskWarning::Rounded { dark: 2, light: 2 };
        assert_eq!(read.warnings, [rounded]);
        let words = rounded.to_string();
        assert!(
            words.contains("2 pixels darker than 16 of 255 count as black"),
            "{words}"
        );
    }
}

#[test]
fn noise_of_jpeg_is_no_coverage() {
    let drawn = painted(64, 64, |x, y| {
        match (16..48).contains(&x) && (16..48).contains(&y) {
            true => [255; 3],
            false => [0; 3],
        }
    });
    let jpeg = imagegen_picture::Format::Jpeg { quality: 80 };
    let read = Mask::from_picture(&decode(&encode(&drawn, jpeg)).picture).unwrap();
    assert_eq!(read.mask.bounds(), Some(rect(16, 16, 32, 32)));
}

#[test]
fn a_picture_with_colours_is_no_mask() {
    let error = Mask::from_picture(&quarters(16, 16)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mask has colours in 100 % of its pixels, expected a grey picture: white changes, black stays"
    );
    // Colours below alpha 0 are not seen.
    let hidden = quarters(16, 16).with_alpha(Some(vec![0; 256])).unwrap();
    assert!(Mask::from_picture(&hidden).unwrap().mask.is_empty());
}

#[test]
fn another_size_is_refused_with_both_and_can_be_fitted() {
    let mask = Mask::full(Size::new(10, 20));
    let error = mask.check_size(Size::new(20, 40)).unwrap_err().to_string();
    assert_eq!(error, "mask is 10x20, expected the source's size 20x40");
    assert!(mask.fitted(Size::new(20, 40)).is_full());
    let mut half = Mask::empty(Size::new(10, 20));
    half.add_box(rect(0, 0, 5, 20)).unwrap();
    assert_eq!(half.fitted(Size::new(20, 40)).share(), 0.5);
}

#[test]
fn colour_keys_cover_their_colour_and_fade() {
    let key: ColourKey = "#dc2828:10".parse().unwrap();
    assert_eq!((key.colour, key.tolerance), (RED, 10));
    assert_eq!(key.to_string().parse(), Ok(key));
    let mask = Mask::from_colour(&quarters(8, 8), key);
    assert_eq!(mask.bounds(), Some(rect(0, 0, 4, 4)));
    let near = painted(4, 1, |x, _| [220 + [0, 10, 15, 20][x as usize], 40, 40]);
    assert_eq!(Mask::from_colour(&near, key).coverage(), [255, 255, 127, 0]);
    for bad in [
        "",
        "12345",
        "#1234567",
        "00ff0g",
        "00ff00:x",
        "00ff00:256",
        "00ff00:-1",
    ] {
        let error = bad.parse::<ColourKey>().unwrap_err();
        assert!(error.contains("expected RRGGBB"), "{error}");
    }
    let exact: ColourKey = "00ff00:0".parse().unwrap();
    assert_eq!(
        Mask::from_colour(&painted(2, 1, |x, _| [0, 254 + x as u8, 0]), exact).coverage(),
        [0, 255]
    );
}

#[test]
fn ellipses_cover_their_area_and_are_cut_at_edges() {
    let mut mask = Mask::empty(Size::new(100, 60));
    mask.add_ellipse(Ellipse {
        centre: [50.0, 30.0],
        radii: [30.0, 20.0],
    });
    let area = std::f64::consts::PI * 30.0 * 20.0 / 6000.0;
    assert!((mask.share() - area).abs() < 0.005, "{}", mask.share());
    assert_eq!(mask.bounds(), Some(rect(20, 10, 60, 40)));
    mask.add_ellipse(Ellipse {
        centre: [0.0, 0.0],
        radii: [5.0, 5.0],
    });
    assert_eq!(mask.bounds(), Some(rect(0, 0, 80, 50)));
}

#[test]
fn a_mask_can_be_seen_over_its_picture() {
    let picture = Picture::filled(Size::new(9, 9), [100; 3]).unwrap();
    let mut mask = Mask::empty(Size::new(9, 9));
    mask.add_box(rect(2, 2, 5, 5)).unwrap();
    let seen = mask.over(&picture);
    assert_eq!(seen.pixel(0, 0), [100; 3], "kept");
    assert_ne!(seen.pixel(4, 4), [100; 3], "tinted");
    assert_ne!(seen.pixel(2, 4), seen.pixel(4, 4), "its edge is a line");
}

/// Share of pixels on which two masks agree at half coverage.
fn agreement(one: &Mask, two: &Mask) -> f64 {
    let pairs = one.coverage().iter().zip(two.coverage());
    let same = pairs.filter(|&(&a, &b)| (a > 127) == (b > 127)).count();
    same as f64 / one.coverage().len() as f64
}

#[test]
fn a_thing_before_a_plain_ground_is_found() {
    for (width, height) in [(96, 64), (301, 203), (700, 500)] {
        let inside = |x: u32, y: u32| {
            let (across, down) = (
                f64::from(x) / f64::from(width) - 0.5,
                f64::from(y) / f64::from(height) - 0.5,
            );
            across * across / 0.06 + down * down / 0.09 < 1.0
        };
        // A ground that goes from light to dark, a thing with two colours, and noise over both.
        let picture = painted(width, height, |x, y| {
            let noise = ((x * 7919 + y * 104_729) % 13) as u8;
            match inside(x, y) {
                true if y < height / 2 => [170 + noise, 60, 50],
                true => [60, 70 + noise, 120],
                false => [
                    200 + noise - (y * 40 / height) as u8,
                    195 - (y * 40 / height) as u8,
                    190,
                ],
            }
        });
        let found = subject(&picture);
        assert_eq!(found.doubt, None, "{width}x{height}");
        let mut want = Mask::empty(picture.size());
        want.add_ellipse(Ellipse {
            centre: [f64::from(width) / 2.0, f64::from(height) / 2.0],
            radii: [0.06f64.sqrt() * f64::from(width), 0.3 * f64::from(height)],
        });
        let agreement = agreement(&found.mask, &want);
        assert!(agreement > 0.985, "{width}x{height}: {agreement}");
    }
}

#[test]
fn pictures_without_a_subject_are_doubted() {
    let plain = Picture::filled(Size::new(120, 80), [90, 120, 60]).unwrap();
    let found = subject(&plain);
    assert_eq!(
        (found.mask.is_empty(), found.doubt),
        (true, Some(Doubt::Nothing))
    );
    for (width, height) in [(1, 1), (2, 2), (1, 40), (3, 500)] {
        let found = subject(&busy(width, height));
        assert_eq!(found.mask.size(), Size::new(width, height));
    }
    // Noise has no subject: whatever is found is said to be doubtful.
    let noise = painted(128, 96, |x, y| {
        let mut value = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
        value = (value ^ value >> 15).wrapping_mul(0x2C1B_3C6D);
        [(value >> 8) as u8, (value >> 16) as u8, (value >> 24) as u8]
    });
    assert!(subject(&noise).doubt.is_some());
}
