//! Cut, broken, foreign and hostile files.

use imagegen_picture::{
    DecodeError, Fault, Format, Limits, LooksLike, Picture, Size, SourceFormat, Warning, metadata,
};
use proptest::prelude::*;

use crate::make::*;

const PROGRESSIVE: &[u8] = include_bytes!("../fixtures/progressive.jpg");

fn refused(bytes: &[u8]) -> DecodeError {
    imagegen_picture::decode(bytes, &Limits::default()).expect_err("a broken file")
}

#[test]
fn every_prefix_of_a_file_is_an_error() {
    let picture = busy(20, 12);
    let clear = picture.clone().with_alpha(Some(vec![77; 240])).unwrap();
    let files = [
        encode(&picture, Format::JPEG),
        encode(&picture, Format::Png),
        encode(&clear, Format::WebP),
        PROGRESSIVE.to_vec(),
        include_bytes!("../fixtures/lossy.webp").to_vec(),
    ];
    for file in files {
        for length in 1..file.len() {
            let error = refused(&file[..length]);
            assert_eq!(
                error.fault(),
                Fault::File,
                "{length} of {}: {error}",
                file.len()
            );
        }
        // Behind the first bytes, all that is wrong is that bytes are missing.
        for length in file.len() / 2..file.len() {
            let error = refused(&file[..length]);
            assert!(
                matches!(error, DecodeError::Truncated { .. }),
                "{length}: {error}"
            );
        }
        decode(&file);
    }
}

#[test]
fn prefixes_of_other_formats_do_not_panic() {
    let files: [&[u8]; 4] = [
        include_bytes!("../fixtures/plain.bmp"),
        include_bytes!("../fixtures/plain.tiff"),
        include_bytes!("../fixtures/animated.gif"),
        include_bytes!("../fixtures/cmyk.jpg"),
    ];
    for file in files {
        let results = (0..file.len())
            .map(|length| imagegen_picture::decode(&file[..length], &Limits::default()));
        assert!(results.filter(|result| result.is_err()).count() > file.len() / 3);
    }
}

#[test]
fn bytes_behind_a_jpeg_are_no_fault() {
    let file = encode(&quarters(32, 16), Format::JPEG);
    let want = decode(&file);
    let other = encode(&busy(8, 8), Format::JPEG);
    for tail in [
        vec![0; 5000],
        other.clone(),
        vec![0xFF],
        other[..100].to_vec(),
    ] {
        let got = decode(&[file.clone(), tail].concat());
        assert_eq!(got.picture, want.picture);
        assert_eq!(got.warnings, []);
    }
}

#[test]
fn a_cut_jpeg_is_not_saved_by_the_end_of_its_thumbnail() {
    let thumbnail = encode(&busy(8, 8), Format::JPEG);
    let file = encode(&busy(32, 32), Format::JPEG);
    let file = with_segment(file, 0xE2, &[b"MPF\0", thumbnail.as_slice()].concat());
    decode(&file);
    let error = refused(&file[..file.len() - 300]);
    assert!(
        matches!(
            error,
            DecodeError::Truncated {
                format: SourceFormat::Jpeg,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_progressive_jpeg_without_its_last_scans_says_so() {
    assert_eq!(decode(PROGRESSIVE).warnings, []);
    let scans: Vec<usize> = (0..PROGRESSIVE.len() - 1)
        .filter(|&i| PROGRESSIVE[i..i + 2] == [0xFF, 0xDA])
        .collect();
    assert!(scans.len() > 4, "the fixture has many scans");
    let mut last = 0.0;
    for &scan in scans[1..].iter().rev() {
        // Tables between the scans stay, which is allowed.
        let file = [&PROGRESSIVE[..scan], &[0xFF, 0xD9]].concat();
        let decoded = decode(&file);
        let [Warning::Unfinished { missing }] = decoded.warnings[..] else {
            panic!("cut at {scan}: {:?}", decoded.warnings);
        };
        assert!(
            missing > last && missing < 1.0,
            "missing {missing} after {last}"
        );
        last = missing;
    }
}

#[test]
fn a_jpeg_cut_and_closed_again_says_what_is_missing() {
    let sequential = encode(&busy(64, 64), Format::JPEG);
    let grey = include_bytes!("../fixtures/grey_restart.jpg").to_vec();
    let halved = include_bytes!("../fixtures/halved.jpg").to_vec();
    for file in [sequential, grey, halved] {
        assert_eq!(decode(&file).warnings, []);
        let scan = (0..file.len() - 1)
            .rfind(|&i| file[i..i + 2] == [0xFF, 0xDA])
            .unwrap();
        let length = file.len() - scan;
        let mut last = 0.0;
        for eighths in 1..7 {
            let cut = [&file[..file.len() - length * eighths / 8], &[0xFF, 0xD9]].concat();
            let Ok(decoded) = imagegen_picture::decode(&cut, &Limits::default()) else {
                continue;
            };
            let missing = decoded.warnings.iter().find_map(|warning| match warning {
                Warning::Missing { missing } => Some(*missing),
                _ => None,
            });
            let missing = missing.expect("a warning of the missing share");
            assert!(
                missing > last && missing < 1.0,
                "missing {missing} after {last}"
            );
            last = missing;
        }
        assert!(last > 0.5, "of a file cut to a quarter {last} is missing");
    }
}

#[test]
fn what_is_no_picture_is_named() {
    use LooksLike as L;
    assert_eq!(refused(b""), DecodeError::Empty);
    let cases: [(&[u8], L); 12] = [
        (b"<!DOCTYPE html><html><body>Please log in", L::Html),
        (b"\n  <HTML>", L::Html),
        (b"{\"error\": \"not found\"}", L::Json),
        (b"%PDF-1.7\n", L::Pdf),
        (b"just a note", L::Text),
        ("Grüße".as_bytes(), L::Text),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            L::LfsPointer,
        ),
        (b"PK\x03\x04....", L::Zip),
        (b"\0\0\0\x18ftypisom\0\0", L::Video),
        (&[0; 64], L::Zeros),
        (&[1, 2, 3, 200, 201], L::Unknown),
        (b"BM is how this text begins, and it goes on.", L::Text),
    ];
    for (bytes, want) in cases {
        let error = refused(bytes);
        let DecodeError::NotAPicture { looks_like, got } = error else {
            panic!("{error}")
        };
        assert_eq!((looks_like, got), (want, bytes.len() as u64));
    }
    let cases: [(&[u8], L); 4] = [
        (b"\0\0\0\x18ftypheic\0\0", L::Heic),
        (b"\0\0\0\x1cftypavif\0\0", L::Avif),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", L::Svg),
        (b"\xFF\x0A\x00", L::JpegXl),
    ];
    for (bytes, want) in cases {
        let error = refused(bytes);
        assert_eq!(error, DecodeError::UnsupportedFormat(want));
        assert_eq!(error.fault(), Fault::Unsupported);
    }
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    let rows = [0; 16];
    let huge = |width, height| {
        Png {
            size: (width, height),
            depth: 8,
            colour: 2,
            interlaced: false,
            before: vec![],
            rows: &rows,
        }
        .bytes()
    };
    let error = refused(&huge(100_000, 100_000));
    let size = Size::new(100_000, 100_000);
    assert_eq!(
        error,
        DecodeError::TooManyPixels {
            size,
            limit: 100_000_000
        }
    );
    assert_eq!(error.fault(), Fault::Limit);
    assert!(matches!(
        refused(&huge(i32::MAX as u32, i32::MAX as u32)),
        DecodeError::TooManyPixels { .. }
    ));

    let mut jpeg = encode(&busy(8, 8), Format::JPEG);
    let frame = (0..jpeg.len() - 1)
        .find(|&i| jpeg[i..i + 2] == [0xFF, 0xC0])
        .unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    assert!(matches!(refused(&jpeg), DecodeError::TooManyPixels { .. }));
    jpeg[frame + 5..frame + 9].fill(0);
    assert_eq!(refused(&jpeg), DecodeError::NoPixels(Size::new(0, 0)));
}

#[test]
fn each_limit_holds() {
    let file = encode(&busy(40, 30), Format::Png);
    let limits = |bytes, pixels, memory| {
        imagegen_picture::decode(
            &file,
            &Limits {
                bytes,
                pixels,
                memory,
            },
        )
        .err()
    };
    let enough = file.len() as u64;
    assert_eq!(limits(enough, 1200, 1 << 20), None);
    let got = enough;
    assert_eq!(
        limits(enough - 1, 1200, 1 << 20),
        Some(DecodeError::TooManyBytes {
            got,
            limit: got - 1
        })
    );
    assert!(matches!(
        limits(enough, 1199, 1 << 20),
        Some(DecodeError::TooManyPixels { .. })
    ));
    assert!(matches!(
        limits(enough, 1200, 1200 * 3),
        Some(DecodeError::TooMuchMemory { .. })
    ));
}

#[test]
fn unsupported_jpeg_kinds_are_named() {
    for (kind, words) in [
        (0xC3, "lossless"),
        (0xC9, "arithmetic"),
        (0xC5, "hierarchical"),
    ] {
        let mut jpeg = encode(&busy(8, 8), Format::JPEG);
        let frame = (0..jpeg.len() - 1)
            .find(|&i| jpeg[i..i + 2] == [0xFF, 0xC0])
            .unwrap();
        jpeg[frame + 1] = kind;
        let error = refused(&jpeg);
        assert_eq!(error.fault(), Fault::Unsupported);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn broken_exif_and_profiles_do_not_stop_a_picture() {
    let picture = quarters(8, 4);
    for block in [&b"II*\0\xFF\xFF\xFF\xFF"[..], b"MM", b"", &[0xFF; 40]] {
        let decoded = decode(&png_with(&picture, vec![chunk(b"eXIf", block)]));
        assert_eq!(decoded.picture, picture);
    }
    let broken = chunk(
        b"iCCP",
        &[b"x\0\0".as_slice(), &deflate(&[7; 200])].concat(),
    );
    let decoded = decode(&png_with(&picture, vec![broken]));
    assert_eq!(decoded.picture, picture);
    assert!(matches!(
        decoded.warnings[..],
        [Warning::ProfileUnusable { .. }]
    ));
}

fn read_all(bytes: &[u8]) {
    let small = Limits {
        bytes: 1 << 20,
        pixels: 1 << 20,
        memory: 1 << 26,
    };
    let _ = imagegen_picture::decode(bytes, &small);
    let _ = metadata::read(bytes);
}

fn samples() -> Vec<Vec<u8>> {
    let picture: Picture = busy(16, 16);
    let stamp = metadata::Metadata {
        parameters: Some("a\nSteps: 1".into()),
        json: Some("{}".into()),
        source: Some(metadata::DigitalSource::Trained),
        ..metadata::Metadata::default()
    };
    let formats = [Format::Png, Format::JPEG, Format::WebP];
    let mut files: Vec<_> = formats
        .map(|format| {
            imagegen_picture::encode(&picture, format, &stamp)
                .expect("metadata that fits")
                .bytes
        })
        .into();
    files.push(PROGRESSIVE.to_vec());
    files.push(include_bytes!("../fixtures/lossy.webp").to_vec());
    files.push(include_bytes!("../fixtures/animated.gif").to_vec());
    files.push(include_bytes!("../fixtures/plain.tiff").to_vec());
    files.push(include_bytes!("../fixtures/plain.bmp").to_vec());
    files.push(include_bytes!("../fixtures/cmyk.jpg").to_vec());
    files.push(crate::colour::png_with_profile(
        &crate::colour::cmyk_profile(),
    ));
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_never_panic(head in 0usize..8, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let heads: [&[u8]; 8] = [
            b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"RIFF\0\x01\0\0WEBPVP8X", b"GIF89a", b"II*\0",
            b"BM\0\0\0\0\0\0\0\0", b"RIFF\0\x01\0\0WEBPVP8L",
        ];
        read_all(&[heads[head], &bytes].concat());
    }

    #[test]
    fn flipped_bytes_never_panic(file in 0usize..10, at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = samples().swap_remove(file);
        for (place, value) in at {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        read_all(&bytes);
    }
}

/// Claims of 65,535 x 65,535 pixels or as near to it as the format comes, without the pixels.
fn claims() -> [(&'static str, Vec<u8>); 4] {
    let mut gif = include_bytes!("../fixtures/animated.gif").to_vec();
    gif[6..10].fill(0xFF);
    let mut bmp = include_bytes!("../fixtures/plain.bmp").to_vec();
    bmp[18..26].copy_from_slice(&[0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0, 0]);
    let mut tiff = include_bytes!("../fixtures/plain.tiff").to_vec();
    let folder = u32::from_le_bytes(tiff[4..8].try_into().expect("four bytes")) as usize;
    for entry in 0..usize::from(tiff[folder]) {
        let at = folder + 2 + entry * 12;
        // Width and height.
        if matches!(tiff[at..at + 2], [0, 1] | [1, 1]) {
            tiff[at + 8..at + 10].fill(0xFF);
        }
    }
    let mut webp = webp_with(&busy(8, 8), 0, &[]);
    webp[24..30].copy_from_slice(&[0xFF, 0x3F, 0, 0xFF, 0x3F, 0]); // 16,384, the format's most
    [("GIF", gif), ("BMP", bmp), ("TIFF", tiff), ("WebP", webp)]
}

#[test]
fn other_formats_absurd_sizes_are_refused_too() {
    for (format, bytes) in claims() {
        let error = refused(&bytes);
        // TIFF lists its strips, and the reader counts them first.
        assert!(
            matches!(error, DecodeError::TooManyPixels { .. }) || format == "TIFF",
            "{format}: {error}"
        );
    }
}

#[test]
fn texts_and_profiles_that_unfold_without_end_do_no_harm() {
    // A quarter of a gigabyte out of a quarter of a megabyte.
    let bomb = deflate(&vec![0; 256 << 20]);
    let picture = busy(4, 4);
    let text = [b"Comment\0\0".as_slice(), &bomb].concat();
    let international = [b"Comment\0\x01\0\0\0".as_slice(), &bomb].concat();
    let many = vec![chunk(b"tEXt", b"k\0v"); 20_000];
    for before in [
        vec![chunk(b"zTXt", &text)],
        vec![chunk(b"iTXt", &international)],
        many,
    ] {
        let file = png_with(&picture, before);
        let decoded = decode(&file);
        assert_eq!(
            (decoded.picture, decoded.warnings),
            (picture.clone(), vec![])
        );
        assert_eq!(metadata::read(&file), metadata::Metadata::default());
    }
    let profile = [b"p\0\0".as_slice(), &bomb].concat();
    let file = png_with(&picture, vec![chunk(b"iCCP", &profile)]);
    match imagegen_picture::decode(&file, &Limits::default()) {
        Ok(decoded) => assert_eq!(decoded.picture, picture),
        Err(error) => assert!(matches!(error, DecodeError::Damaged { .. }), "{error}"),
    }
}

#[test]
fn cut_files_of_other_formats_are_called_truncated() {
    let files: [(&[u8], usize); 3] = [
        // Up to the end of its first frame; what follows is not used.
        (include_bytes!("../fixtures/animated.gif"), 60),
        (include_bytes!("../fixtures/plain.bmp"), 200),
        (include_bytes!("../fixtures/plain.tiff"), 300),
    ];
    for (file, end) in files {
        for length in [end / 3, end / 2, end - 1] {
            let error = refused(&file[..length]);
            assert!(
                matches!(error, DecodeError::Truncated { .. }),
                "{length} of {}: {error}",
                file.len()
            );
        }
    }
}
