//! Sources of odd kinds and shapes, from odd places.

use std::io::Write;
use std::process::Stdio;

use image::{DynamicImage, Rgb, RgbImage};

use crate::done;
use crate::place::{Done, Place, distance, painted};

#[test]
fn long_strips_come_back_as_long_as_they_were() {
    let place = Place::new();
    for (width, height) in [(1, 4000), (8000, 16), (1, 1)] {
        place.save("a.png", &painted(width, height, 9).into());
        let line = "transform a.png -p winter --steps 1 -s 0.3 --guidance 1 --seed 1 -o o.png";
        let made = place.succeed(line);
        let picture = place.open("o.png");
        assert_eq!((picture.width(), picture.height()), (width, height));
        let said = made.lines("warning: a.png: the model worked at ");
        assert_eq!(said.len(), 1, "{width}x{height}: {}", made.stderr);
    }
}

#[test]
fn sources_of_one_colour_keep_it_at_low_strength() {
    let place = Place::new();
    for colour in [[0, 0, 0], [128, 128, 128], [200, 30, 30], [255, 255, 255]] {
        let flat: DynamicImage = RgbImage::from_pixel(80, 64, Rgb(colour)).into();
        place.save("a.png", &flat);
        // A prompt that asks for no other light: stars would have it night.
        place.succeed("transform a.png -p photo -s 0.2 --steps 5 --seed 1 -o o.png");
        let picture = place.open("o.png").to_rgb8();
        for channel in 0..3 {
            let sum: f64 = picture
                .pixels()
                .map(|pixel| f64::from(pixel.0[channel]))
                .sum();
            let mean = sum / (80.0 * 64.0);
            let off = (mean - f64::from(colour[channel])).abs();
            assert!(off <= 12.0, "{colour:?}: channel {channel} is {mean}");
        }
        // Of which nothing is of one colour: a black sheet may stay black where no style is asked for.
        place.succeed("transform a.png -p winter,snow -s 0.9 --steps 2 --seed 1 -o o.png");
        assert!(distance(&place.open("o.png"), &flat).1 > 0.0, "{colour:?}");
    }
}

#[test]
fn moving_pictures_give_their_first_frame_and_say_so() {
    let place = Place::new();
    let frame =
        |colour| image::Frame::new(image::RgbaImage::from_pixel(80, 64, image::Rgba(colour)));
    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    encoder
        .encode_frames([frame([255, 0, 0, 255]), frame([0, 0, 255, 255])])
        .unwrap();
    drop(encoder);
    place.put("a.gif", &gif);
    place.put("a.webp", &moving_webp());
    for name in ["a.gif", "a.webp"] {
        let made = place.succeed(&format!("transform {name} -p winter -s 0 -o o.png"));
        let said = made.lines(&format!(
            "warning: {name}: file is animated, only its first frame is used"
        ));
        assert_eq!(said.len(), 1, "{}", made.stderr);
        let Rgb([red, _, blue]) = place.open("o.png").to_rgb8()[(4, 4)];
        assert!(red > 200 && blue < 50, "{name}: {red} {blue}");
    }
}

/// A WebP of two frames, red and blue, put together from two still ones.
fn moving_webp() -> Vec<u8> {
    let chunk = |kind: &[u8; 4], payload: &[u8]| {
        let mut out = kind.to_vec();
        out.extend((payload.len() as u32).to_le_bytes());
        out.extend(payload);
        out.resize(out.len().next_multiple_of(2), 0);
        out
    };
    let frame = |colour| {
        let mut still = std::io::Cursor::new(Vec::new());
        let picture: DynamicImage = RgbImage::from_pixel(80, 64, Rgb(colour)).into();
        picture
            .write_to(&mut still, image::ImageFormat::WebP)
            .unwrap();
        let place = [0, 0, 0, 0, 0, 0, 79, 0, 0, 63, 0, 0, 100, 0, 0, 0];
        chunk(b"ANMF", &[&place[..], &still.into_inner()[12..]].concat())
    };
    let body = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &[2, 0, 0, 0, 79, 0, 0, 63, 0, 0]),
        chunk(b"ANIM", &[0; 6]),
        frame([255, 0, 0]),
        frame([0, 0, 255]),
    ];
    chunk(b"RIFF", &body.concat())
}

#[test]
fn bytes_behind_a_picture_are_no_fault_and_missing_ones_are() {
    let place = Place::new();
    place.save("a.jpg", &painted(96, 64, 30).into());
    let whole = place.bytes("a.jpg");
    place.put("two.jpg", &[&whole[..], &whole].concat());
    place.put("zeros.jpg", &[&whole[..], &[0; 5000]].concat());
    for name in ["two.jpg", "zeros.jpg"] {
        let made = place.succeed(&format!("transform {name} -p winter -s 0 -o o.png -q"));
        assert_eq!(
            made.lines("warning: ").len(),
            1,
            "strength 0 alone: {}",
            made.stderr
        );
        assert!(distance(&place.open("o.png"), &place.open("a.jpg")).0 <= 2);
    }
    // Cut, and closed again by an end mark: what is missing is said.
    place.put(
        "closed.jpg",
        &[&whole[..whole.len() * 2 / 3], b"\xFF\xD9"].concat(),
    );
    let made = place.succeed("transform closed.jpg -p winter -s 0 -o o.png");
    assert!(
        made.stderr.contains("% of the picture is missing"),
        "{}",
        made.stderr
    );
}

#[test]
fn texts_that_unfold_without_end_are_no_recipe() {
    let place = Place::with_source();
    let mut file = place.bytes("a.png");
    let chunk = png_text("imagegen", &" ".repeat(64 << 20));
    file.splice(33..33, chunk); // behind the header
    place.put("bomb.png", &file);
    assert!(file.len() < 1 << 20, "{} bytes", file.len());
    let made = place.run("verify bomb.png");
    made.assert_refused(1, &["bomb.png does not say how it was made"]);
    place.succeed("transform bomb.png -p winter -s 0 -o o.png");
    assert_eq!(place.open("o.png"), place.open("a.png"));
}

/// A compressed text chunk, written by another library.
fn png_text(keyword: &str, text: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    encoder
        .add_ztxt_chunk(keyword.to_owned(), text.to_owned())
        .unwrap();
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0])
        .unwrap();
    let at = file.windows(4).position(|part| part == b"zTXt").unwrap() - 4;
    let length = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    file[at..at + 12 + length].to_vec()
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_a_link_in_the_results_place_is_replaced() {
    use std::os::unix::fs::symlink;
    let place = Place::with_source();
    symlink("a.png", place.path("link.png")).unwrap();
    symlink("nothing.png", place.path("dangling.png")).unwrap();
    symlink("loop.png", place.path("loop.png")).unwrap();
    place.succeed("transform link.png -p winter -s 0 -o o.png");
    assert_eq!(place.open("o.png"), place.open("a.png"));
    for name in ["dangling.png", "loop.png"] {
        place
            .run(&format!("transform {name} -p winter -o p.png"))
            .assert_refused(1, &["cannot read", name]);
    }
    // The file a link points at is not the one that was named.
    let before = place.bytes("a.png");
    place.succeed("transform a.png -p winter --steps 2 -s 1 -o link.png");
    assert!(place.bytes("a.png") == before);
    assert!(!place.path("link.png").is_symlink());
    place.succeed("transform a.png -p winter -s 0 -o dangling.png");
    assert!(!place.path("nothing.png").exists() && place.path("dangling.png").is_file());
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_a_source() {
    let place = Place::with_source();
    let made = std::process::Command::new("mkfifo")
        .arg(place.path("pipe.png"))
        .status();
    assert!(made.unwrap().success());
    let (path, bytes) = (place.path("pipe.png"), place.bytes("a.png"));
    let writer = std::thread::spawn(move || std::fs::write(path, bytes).unwrap());
    place.succeed("transform pipe.png -p winter -s 0 -o o.png");
    writer.join().unwrap();
    assert_eq!(place.open("o.png"), place.open("a.png"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_source_without_an_end_is_read_up_to_the_limit() {
    let place = Place::new();
    let made = place.run("transform /dev/zero -p winter -o o.png");
    made.assert_refused(1, &["/dev/zero", "expected at most 67108864"]);
    let made = place.run("transform /dev/null -p winter -o o.png");
    made.assert_refused(1, &["null", "0 bytes"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_pipe_without_an_end_is_read_up_to_the_limit() {
    let place = Place::new();
    let mut command = place.command(&["transform", "-", "-p", "winter", "-o", "o.png"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let block = vec![7; 1 << 20];
    // The program closes its end when it has enough.
    while stdin.write_all(&block).is_ok() {}
    let made = Done::of(&child.wait_with_output().unwrap());
    made.assert_refused(1, &["stdin", "expected at most 67108864"]);
}

#[test]
fn folders_are_no_pictures() {
    let place = Place::with_source();
    std::fs::create_dir(place.path("folder.png")).unwrap();
    for line in [
        "transform folder.png -p x",
        "ladder folder.png -p x",
        "advise folder.png",
        "verify folder.png",
    ] {
        let made = done(
            &place,
            &mut place.command(&line.split(' ').collect::<Vec<_>>()),
        );
        made.assert_refused(1, &["cannot read folder.png", "directory"]);
    }
    // As a result it is a folder to put results in, whatever its name.
    place.succeed("transform a.png -p winter -s 0 --seed 1 -o folder.png");
    assert_eq!(
        place.names(),
        ["a.png", "folder.png/", "folder.png/a-winter-1.png"]
    );
}
