//! Faces in the example pictures and in pictures no detector likes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use imagegen::{Cpu, Face, Level, faces};
use imagegen_model::faces::WEIGHTS;
use imagegen_picture::{Filter, Limits, Picture, Size, decode, resize};
use sha2::{Digest, Sha256};

fn cpu() -> Cpu {
    Cpu {
        level: Level::best(),
        threads: 2,
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(name: &str) -> Picture {
    let path = root().join("examples").join(name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    decode(&bytes, &Limits::default()).unwrap().picture
}

fn find(picture: &Picture) -> Vec<Face> {
    faces(picture, cpu()).unwrap()
}

/// A quarter turn clockwise.
fn turned(picture: &Picture) -> Picture {
    let Size { width, height } = picture.size();
    let pixels =
        (0..width).flat_map(|x| (0..height).flat_map(move |y| picture.pixel(x, height - 1 - y)));
    Picture::new(picture.size().turned(), pixels.collect(), None).unwrap()
}

/// The astronaut's face, from over the eyebrows to under the chin, seen in the picture: x, y, width, height.
const PLACE: [f32; 4] = [178.0, 80.0, 94.0, 94.0];

/// True where `face` lies within 10 pixels of `x`, `y`, `width`, `height`.
fn is_at(face: &Face, place: [f32; 4]) -> bool {
    [face.x, face.y, face.width, face.height]
        .iter()
        .zip(place)
        .all(|(got, want)| (got - want).abs() < 10.0)
}

#[test]
fn the_portrait_has_one_face_where_it_is() {
    let found = find(&example("portrait.jpg"));
    let [face] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(is_at(face, PLACE), "{face:?}");
    let share = face.width * face.height / (512.0 * 512.0);
    assert!((face.share - share).abs() < 1e-6 && face.score > 0.9);
}

#[test]
fn pictures_without_people_have_none() {
    for name in ["landscape.jpg", "product.jpg", "cat.jpg", "sketch.png"] {
        assert_eq!(find(&example(name)), [], "{name}");
    }
}

#[test]
fn other_sizes_and_shapes_show_the_same_face() {
    let portrait = example("portrait.jpg");
    for size in [
        Size::new(97, 97),
        Size::new(256, 243),
        Size::new(1030, 1024),
    ] {
        let found = find(&resize(&portrait, size, Filter::Bicubic));
        let [face] = found.as_slice() else {
            panic!("{size}: {found:?}")
        };
        let scale = [512.0 / size.width as f32, 512.0 / size.height as f32];
        let back = Face {
            x: face.x * scale[0],
            width: face.width * scale[0],
            y: face.y * scale[1],
            height: face.height * scale[1],
            ..*face
        };
        assert!(is_at(&back, PLACE), "{size}: {back:?}");
    }
}

#[test]
fn a_clear_surrounding_is_no_hindrance() {
    let portrait = example("portrait.jpg");
    let clear = (0..512 * 512).map(|at| if at % 512 < 100 { 0 } else { 255 });
    let cut_out = portrait.with_alpha(Some(clear.collect())).unwrap();
    assert_eq!(find(&cut_out).len(), 1);
}

#[test]
fn odd_shapes_and_turned_pictures_are_looked_at() {
    let sizes = [
        (1, 1),
        (1, 4000),
        (8000, 16),
        (3, 2),
        (127, 129),
        (128, 128),
    ];
    for (width, height) in sizes {
        let plain = Picture::filled(Size::new(width, height), [180, 140, 120]).unwrap();
        assert_eq!(find(&plain), [], "{width}x{height}");
    }
    let mut picture = example("portrait.jpg");
    for _ in 0..4 {
        picture = turned(&picture);
        for face in find(&picture) {
            assert!(face.x >= 0.0 && face.x + face.width <= 512.0, "{face:?}");
            assert!(face.y >= 0.0 && face.y + face.height <= 512.0, "{face:?}");
        }
    }
    // Upright again after four turns.
    assert_eq!(find(&picture).len(), 1);
}

#[test]
fn the_weights_are_those_of_the_notice() {
    let notice = fs::read_to_string(root().join("crates/model/faces/NOTICE")).unwrap();
    let hash = Sha256::digest(WEIGHTS)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        });
    assert!(notice.contains(&hash), "{hash}");
}
