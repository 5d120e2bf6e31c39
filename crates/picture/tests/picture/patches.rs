//! Filling with patches: textures and lines go on, what was there is not read, the rest stays.

use imagegen_picture::mask::Mask;
use imagegen_picture::{Picture, Rect, Size, fill, fill_with_patches};
use proptest::prelude::*;

use crate::make::*;

fn boxed(size: Size, [x, y, width, height]: [u32; 4]) -> Mask {
    let mut mask = Mask::empty(size);
    let size = Size::new(width, height);
    mask.add_box(Rect { x, y, size }).expect("a box inside");
    mask
}

/// Mean difference of the covered pixels, in levels.
fn difference(one: &Picture, two: &Picture, mask: &Mask) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    let colours = one.rgb().chunks_exact(3).zip(two.rgb().chunks_exact(3));
    for ((a, b), &coverage) in colours.zip(mask.coverage()) {
        if coverage > 0 {
            sum += a
                .iter()
                .zip(b)
                .map(|(a, b)| f64::from(a.abs_diff(*b)))
                .sum::<f64>();
            count += 3.0;
        }
    }
    sum / count
}

/// `picture` with everything covered in another colour.
fn spoiled(picture: &Picture, mask: &Mask, colour: [u8; 3]) -> Picture {
    let mut rgb = picture.rgb().to_vec();
    for (pixel, &coverage) in rgb.chunks_exact_mut(3).zip(mask.coverage()) {
        if coverage == 255 {
            pixel.copy_from_slice(&colour);
        }
    }
    Picture::new(picture.size(), rgb, None).expect("planes of that size")
}

/// Slanted stripes on the left, a check on the right: nothing that is smooth.
fn woven(width: u32, height: u32) -> Picture {
    painted(width, height, |x, y| {
        match (x < width / 2, (x + 2 * y) % 12 < 6, (x / 5 + y / 5) % 2) {
            (true, true, _) => [200, 60, 40],
            (true, false, _) => [40, 60, 120],
            (false, _, 0) => [230, 220, 200],
            (false, _, _) => [90, 120, 60],
        }
    })
}

#[test]
fn textures_and_the_border_between_them_go_on() {
    let whole = woven(160, 120);
    for sides in [[60, 40, 36, 36], [20, 30, 40, 50], [0, 80, 160, 16]] {
        let mask = boxed(whole.size(), sides);
        let torn = spoiled(&whole, &mask, [255, 0, 255]);
        let (smooth, filled) = (fill(&torn, &mask), fill_with_patches(&torn, &mask));
        let [smooth, filled] = [smooth, filled].map(|made| difference(&made, &whole, &mask));
        assert!(filled < 12.0, "{sides:?}: {filled} levels off");
        assert!(
            smooth > 40.0,
            "{sides:?}: {smooth} levels off are no hard case"
        );
    }
}

#[test]
fn what_is_added_around_a_picture_goes_on_from_its_edges() {
    let whole = woven(200, 140);
    let inner = [40, 30, 120, 80];
    let mask = boxed(whole.size(), inner).inverted();
    let filled = fill_with_patches(&spoiled(&whole, &mask, [0; 3]), &mask);
    let off = difference(&filled, &whole, &mask);
    assert!(off < 25.0, "{off} levels off");
}

#[test]
fn nothing_is_taken_from_what_is_covered_in_part() {
    let whole = woven(120, 90);
    let soft = boxed(whole.size(), [40, 30, 30, 30]).feathered(6);
    assert!(soft.coverage().iter().any(|c| (1..255).contains(c)));
    let mut rgb = whole.rgb().to_vec();
    for (pixel, &coverage) in rgb.chunks_exact_mut(3).zip(soft.coverage()) {
        if coverage > 0 {
            pixel.copy_from_slice(&[255, 0, 255]);
        }
    }
    let torn = Picture::new(whole.size(), rgb, None).expect("planes of that size");
    let filled = fill_with_patches(&torn, &soft);
    for (pixel, &coverage) in filled.rgb().chunks_exact(3).zip(soft.coverage()) {
        assert_eq!(
            pixel == [255, 0, 255],
            (1..255).contains(&coverage),
            "{pixel:?} at {coverage}"
        );
    }
}

#[test]
fn nothing_is_taken_from_what_is_covered_in_part_of_a_large_picture() {
    let soft = boxed(Size::new(1501, 1203), [500, 400, 420, 401]).feathered(40);
    let torn = painted(1501, 1203, |x, y| {
        match soft.coverage()[(y * 1501 + x) as usize] {
            0 => [40, 90, 200],
            _ => [255, 0, 0],
        }
    });
    let filled = fill_with_patches(&torn, &soft);
    // Not at its rim, which is enlarged together with what is beside it.
    for (x, y) in (410..810).flat_map(|y| (510..910).map(move |x| (x, y))) {
        let deep = [(-8i32, 0i32), (8, 0), (0, -8), (0, 8)]
            .iter()
            .all(|(right, down)| {
                let place = (y + down) * 1501 + x + right;
                soft.coverage()[place as usize] == 255
            });
        let pixel = filled.pixel(x as u32, y as u32);
        assert!(!deep || pixel == [40, 90, 200], "{pixel:?} at {x}, {y}");
    }
}

#[test]
fn where_nothing_is_left_to_take_from_it_is_filled_smoothly() {
    let picture = busy(60, 40);
    for mask in [
        Mask::full(picture.size()),
        boxed(picture.size(), [5, 5, 52, 33]),
        Mask::empty(picture.size()),
    ] {
        assert_eq!(fill_with_patches(&picture, &mask), fill(&picture, &mask));
    }
    for (width, height) in [(1, 1), (7, 50), (50, 7)] {
        let picture = busy(width, height);
        let mask = boxed(picture.size(), [0, 0, 1, 1]);
        assert_eq!(fill_with_patches(&picture, &mask), fill(&picture, &mask));
    }
}

#[test]
fn large_pictures_are_filled_too() {
    // So large with its surround that it is filled smaller.
    let stripes = painted(1501, 1203, |x, _| {
        if x / 30 % 2 == 0 {
            [210, 180, 90]
        } else {
            [30, 40, 80]
        }
    });
    let mask = boxed(stripes.size(), [500, 400, 420, 401]);
    let filled = fill_with_patches(&spoiled(&stripes, &mask, [0, 255, 0]), &mask);
    let off = difference(&filled, &stripes, &mask);
    assert!(off < 15.0, "{off} levels off");
    let smooth = difference(&fill(&stripes, &mask), &stripes, &mask);
    assert!(smooth > 40.0, "{smooth} levels off are no hard case");
}

#[test]
fn the_same_bytes_come_out_on_every_machine() {
    let picture = busy(90, 70).with_alpha(Some((0..90 * 70).map(|i| i as u8).collect()));
    let picture = picture.expect("a plane of that size");
    let filled = fill_with_patches(&picture, &boxed(picture.size(), [30, 20, 33, 31]));
    assert_eq!(filled.alpha(), picture.alpha());
    let sum = filled
        .rgb()
        .iter()
        .fold(0u32, |sum, &v| sum.wrapping_mul(31).wrapping_add(v.into()));
    // As this program made it first, on an AVX-512 machine.
    assert_eq!(sum, 2_089_611_141);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_was_under_the_mask_is_not_read_and_the_rest_stays(
        width in 1u32..70, height in 1u32..70, holes in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, 1u32..30, 1u32..30), 1..4),
        colours: [[u8; 3]; 2],
    ) {
        let picture = busy(width, height);
        let mut mask = Mask::empty(picture.size());
        for (x, y, w, h) in holes {
            let (x, y) = ((x * f64::from(width)) as u32, (y * f64::from(height)) as u32);
            let sides = [x, y, w.min(width - x), h.min(height - y)];
            mask = mask.union(&boxed(picture.size(), sides));
        }
        let [one, two] = colours.map(|colour| fill_with_patches(&spoiled(&picture, &mask, colour), &mask));
        prop_assert_eq!(&one, &two);
        let pixels = one.rgb().chunks_exact(3).zip(picture.rgb().chunks_exact(3));
        for ((made, was), &coverage) in pixels.zip(mask.coverage()) {
            prop_assert!(coverage > 0 || made == was);
        }
    }
}
