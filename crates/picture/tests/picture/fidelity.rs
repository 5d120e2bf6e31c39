//! Fidelity: against other implementations, on photographs that get worse, at the ends of sizes.

use imagegen_picture::fidelity::{Fidelity, Lab, ciede2000, compare};
use imagegen_picture::{Filter, Picture, Size, resize};
use proptest::prelude::*;

use crate::make::{busy, painted};
use crate::photographs::*;

/// The test pairs of Sharma, Wu and Dalal 2005, table 1: two colours of CIELAB and their difference.
#[rustfmt::skip]
const SHARMA: [([f64; 3], [f64; 3], f64); 34] = [
    ([50.0000, 2.6772, -79.7751], [50.0000, 0.0000, -82.7485], 2.0425),
    ([50.0000, 3.1571, -77.2803], [50.0000, 0.0000, -82.7485], 2.8615),
    ([50.0000, 2.8361, -74.0200], [50.0000, 0.0000, -82.7485], 3.4412),
    ([50.0000, -1.3802, -84.2814], [50.0000, 0.0000, -82.7485], 1.0000),
    ([50.0000, -1.1848, -84.8006], [50.0000, 0.0000, -82.7485], 1.0000),
    ([50.0000, -0.9009, -85.5211], [50.0000, 0.0000, -82.7485], 1.0000),
    ([50.0000, 0.0000, 0.0000], [50.0000, -1.0000, 2.0000], 2.3669),
    ([50.0000, -1.0000, 2.0000], [50.0000, 0.0000, 0.0000], 2.3669),
    ([50.0000, 2.4900, -0.0010], [50.0000, -2.4900, 0.0009], 7.1792),
    ([50.0000, 2.4900, -0.0010], [50.0000, -2.4900, 0.0010], 7.1792),
    ([50.0000, 2.4900, -0.0010], [50.0000, -2.4900, 0.0011], 7.2195),
    ([50.0000, 2.4900, -0.0010], [50.0000, -2.4900, 0.0012], 7.2195),
    ([50.0000, -0.0010, 2.4900], [50.0000, 0.0009, -2.4900], 4.8045),
    ([50.0000, -0.0010, 2.4900], [50.0000, 0.0010, -2.4900], 4.8045),
    ([50.0000, -0.0010, 2.4900], [50.0000, 0.0011, -2.4900], 4.7461),
    ([50.0000, 2.5000, 0.0000], [50.0000, 0.0000, -2.5000], 4.3065),
    ([50.0000, 2.5000, 0.0000], [73.0000, 25.0000, -18.0000], 27.1492),
    ([50.0000, 2.5000, 0.0000], [61.0000, -5.0000, 29.0000], 22.8977),
    ([50.0000, 2.5000, 0.0000], [56.0000, -27.0000, -3.0000], 31.9030),
    ([50.0000, 2.5000, 0.0000], [58.0000, 24.0000, 15.0000], 19.4535),
    ([50.0000, 2.5000, 0.0000], [50.0000, 3.1736, 0.5854], 1.0000),
    ([50.0000, 2.5000, 0.0000], [50.0000, 3.2972, 0.0000], 1.0000),
    ([50.0000, 2.5000, 0.0000], [50.0000, 1.8634, 0.5757], 1.0000),
    ([50.0000, 2.5000, 0.0000], [50.0000, 3.2592, 0.3350], 1.0000),
    ([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
    ([63.0109, -31.0961, -5.8663], [62.8187, -29.7946, -4.0864], 1.2630),
    ([61.2901, 3.7196, -5.3901], [61.4292, 2.2480, -4.9620], 1.8731),
    ([35.0831, -44.1164, 3.7933], [35.0232, -40.0716, 1.5901], 1.8645),
    ([22.7233, 20.0904, -46.6940], [23.0331, 14.9730, -42.5619], 2.0373),
    ([36.4612, 47.8580, 18.3852], [36.2715, 50.5065, 21.2231], 1.4146),
    ([90.8027, -2.0831, 1.4410], [91.1528, -1.6435, 0.0447], 1.4441),
    ([90.9257, -0.5406, -0.9208], [88.6381, -0.8985, -0.7239], 1.5381),
    ([6.7747, -0.2908, -2.4247], [5.8714, -0.0985, -2.2286], 0.6377),
    ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
];

/// Half a unit of the table's last digit, and a little for rounding.
const SHARMA_DIGITS: f64 = 5.01e-5;

/// f64 on both sides; the exponents of pytorch-msssim are f32.
const REFERENCE: f64 = 1e-7;

/// scikit-image's matrix has six digits of the primaries, rounded otherwise.
const REFERENCE_COLOUR: f64 = 2e-3;

fn lab([l, a, b]: [f64; 3]) -> Lab {
    Lab { l, a, b }
}

fn plain_distance(one: Lab, other: Lab) -> f64 {
    let square = |a: f64, b: f64| (a - b) * (a - b);
    (square(one.l, other.l) + square(one.a, other.a) + square(one.b, other.b)).sqrt()
}

/// The pictures of fixtures/fidelity.py.
fn waves(width: u32, height: u32, shift: u32) -> Picture {
    painted(width, height, |x, y| {
        [
            ((x * x / 7 + y * 3 + shift * 5) % 256) as u8,
            (((x + shift) * 2 + y * y / 9) % 256) as u8,
            (((x / 8) * 40 + (y / 8) * 25 + shift * 11) % 256) as u8,
        ]
    })
}

fn fidelity(source: &Picture, result: &Picture) -> Fidelity {
    compare(source, result).expect("pictures of one size")
}

#[track_caller]
fn assert_close(got: f64, want: f64, tolerance: f64) {
    assert!(
        (got - want).abs() <= tolerance,
        "{got} is off {want} by more than {tolerance}"
    );
}

#[track_caller]
fn assert_in_range(fidelity: &Fidelity) {
    let Fidelity {
        overall,
        structure,
        colour,
        ms_ssim,
        edges,
        colour_shift,
    } = *fidelity;
    for share in [overall, structure, colour, ms_ssim, edges] {
        assert!((0.0..=1.0).contains(&share), "{fidelity:?}");
    }
    assert!((0.0..=130.0).contains(&colour_shift), "{fidelity:?}");
}

/// Falls at each step of `results`, from 1.
#[track_caller]
fn assert_falls(name: &str, source: &Picture, results: impl Iterator<Item = Picture>) {
    let mut last = fidelity(source, source);
    assert_eq!(last.overall, 1.0);
    for (i, result) in results.enumerate() {
        let now = fidelity(source, &result);
        assert!(now.overall < last.overall, "{name} {i}: {last:?} {now:?}");
        last = now;
    }
}

#[test]
fn ciede2000_agrees_with_its_published_pairs() {
    for (one, other, want) in SHARMA {
        let (one, other) = (lab(one), lab(other));
        assert_close(ciede2000(one, other), want, SHARMA_DIGITS);
        assert_close(ciede2000(other, one), want, SHARMA_DIGITS);
    }
}

#[test]
fn another_formula_fails_on_the_published_pairs() {
    let off = |&(one, other, want): &([f64; 3], [f64; 3], f64)| {
        (plain_distance(lab(one), lab(other)) - want).abs() > SHARMA_DIGITS
    };
    assert!(SHARMA.iter().filter(|pair| off(pair)).count() > 30);
}

#[test]
fn primaries_have_their_known_places() {
    // scikit-image 0.26, rgb2lab.
    for (rgb, want) in [
        ([0, 0, 0], [0.0, 0.0, 0.0]),
        ([255, 255, 255], [100.0, 0.0, 0.0]),
        ([255, 0, 0], [53.241, 80.092, 67.203]),
        ([0, 255, 0], [87.735, -86.183, 83.180]),
        ([0, 0, 255], [32.297, 79.188, -107.860]),
        ([119, 119, 119], [50.034, 0.0, 0.0]),
    ] {
        let got = Lab::of_rgb(rgb);
        for (got, want) in [got.l, got.a, got.b].into_iter().zip(want) {
            assert_close(got, want, 6e-3);
        }
    }
}

#[test]
fn measures_agree_with_other_implementations() {
    // fixtures/fidelity.py.
    let got = fidelity(&waves(192, 192, 0), &waves(192, 192, 6));
    assert_close(got.ms_ssim, 0.686_551_225_758_834_8, REFERENCE);
    assert_close(got.edges, 0.730_714_716_220_121_2, REFERENCE);
    assert_close(got.colour_shift, 24.730_663_831_742_99, REFERENCE_COLOUR);
    let small = fidelity(&waves(20, 16, 0), &waves(20, 16, 2));
    assert_close(small.ms_ssim, 0.969_001_365_019_415_6, REFERENCE);
}

#[test]
fn figures_are_made_of_each_other_as_documented() {
    let got = fidelity(&waves(192, 192, 0), &waves(192, 192, 6));
    assert_close(got.structure, (got.ms_ssim + got.edges) / 2.0, 1e-12);
    assert_close(got.colour, (-got.colour_shift / 20.0).exp(), 1e-12);
    let overall = got.structure.powf(0.75) * got.colour.powf(0.25);
    assert_close(got.overall, overall, 1e-12);
}

#[test]
fn a_picture_is_itself() {
    for (name, photograph) in photographs() {
        let got = fidelity(&photograph, &photograph);
        let all = [
            got.overall,
            got.structure,
            got.colour,
            got.ms_ssim,
            got.edges,
        ];
        assert_eq!(all, [1.0; 5], "{name}");
        assert_eq!(got.colour_shift, 0.0, "{name}");
    }
}

#[test]
fn falls_as_another_picture_shines_through() {
    let sources: Vec<Picture> = PHOTOGRAPHS
        .map(|name| resize(&example(name), Size::new(256, 192), Filter::Lanczos3))
        .into();
    for (i, name) in PHOTOGRAPHS.into_iter().enumerate() {
        let (source, other) = (&sources[i], &sources[(i + 1) % sources.len()]);
        let results = (1..=9).map(|tenth| blended(source, other, f64::from(tenth) / 10.0));
        assert_falls(name, source, results);
    }
}

#[test]
fn falls_with_blur() {
    for (name, photograph) in photographs() {
        let source = sized(&photograph, 256);
        let sigmas = [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        assert_falls(
            name,
            &source,
            sigmas.into_iter().map(|s| blurred(&source, s)),
        );
    }
}

#[test]
fn falls_with_noise() {
    for (name, photograph) in photographs() {
        let source = sized(&photograph, 256);
        let sigmas = [3.0, 6.0, 12.0, 20.0, 30.0, 45.0, 60.0, 80.0, 110.0];
        assert_falls(name, &source, sigmas.into_iter().map(|s| noisy(&source, s)));
    }
}

#[test]
fn unrelated_photographs_have_little_in_common() {
    let size = Size::new(384, 256);
    let sources = PHOTOGRAPHS.map(|name| resize(&example(name), size, Filter::Lanczos3));
    for (i, one) in sources.iter().enumerate() {
        for other in &sources[i + 1..] {
            let got = fidelity(one, other);
            assert!(got.overall < 0.35, "{got:?}");
            assert!(got.structure < 0.35, "{got:?}");
        }
    }
}

#[test]
fn structure_and_colour_are_told_apart() {
    for (name, photograph) in photographs() {
        let tinted = fidelity(&photograph, &warmer(&photograph));
        assert!(tinted.colour < tinted.structure - 0.1, "{name} {tinted:?}");
        let soft = fidelity(&photograph, &blurred(&photograph, 3.0));
        assert!(soft.structure < soft.colour - 0.03, "{name} {soft:?}");
    }
}

#[test]
fn the_order_of_the_pictures_does_not_matter() {
    let (one, other) = (waves(120, 90, 0), waves(120, 90, 6));
    let (there, back) = (fidelity(&one, &other), fidelity(&other, &one));
    assert_close(there.overall, back.overall, 1e-12);
    assert_close(there.colour_shift, back.colour_shift, 1e-12);
}

#[test]
fn large_pictures_measure_as_their_reduction() {
    let source = sized(&example("landscape.jpg"), 512);
    let result = blurred(&source, 3.0);
    let small = fidelity(&source, &result);
    let large = fidelity(&sized(&source, 1500), &sized(&result, 1500));
    // Two more reductions soften both a little.
    assert_close(large.overall, small.overall, 0.05);
}

#[test]
fn hidden_colours_do_not_count() {
    let clear = |colour| {
        let picture = Picture::filled(Size::new(20, 20), colour).unwrap();
        picture.with_alpha(Some(vec![0; 400])).unwrap()
    };
    let got = fidelity(&clear([255, 0, 0]), &clear([0, 0, 255]));
    assert_eq!(got.overall, 1.0);
}

#[test]
fn pictures_of_any_shape_can_be_compared() {
    for (width, height) in [
        (1, 1),
        (2, 1),
        (1, 4000),
        (8000, 16),
        (7, 3),
        (11, 11),
        (33, 200),
    ] {
        let black = Picture::filled(Size::new(width, height), [0; 3]).unwrap();
        let white = Picture::filled(Size::new(width, height), [255; 3]).unwrap();
        assert_eq!(fidelity(&black, &black).overall, 1.0);
        let got = fidelity(&black, &white);
        assert_in_range(&got);
        assert_close(got.colour_shift, 100.0, 1e-3);
        assert_in_range(&fidelity(&black, &busy(width, height)));
    }
}

#[test]
fn other_sizes_are_refused() {
    let refused = compare(&busy(20, 10), &busy(10, 20)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "result is 10x20, expected the source's size 20x10"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_two_pictures_give_figures_in_range(
        (width, height, one, other) in (1u32..48, 1u32..48).prop_flat_map(|(width, height)| {
            let rgb = prop::collection::vec(any::<u8>(), (width * height * 3) as usize);
            (Just(width), Just(height), rgb.clone(), rgb)
        })
    ) {
        let picture = |rgb| Picture::new(Size::new(width, height), rgb, None).expect("planes of that size");
        assert_in_range(&fidelity(&picture(one), &picture(other)));
    }
}
