//! What a source says of itself, carried over to its results.

use imagegen_picture::metadata::{Carried, ExifTags, read};
use imagegen_picture::{EncodeWarning, Format, Metadata, Orientation, Picture};

use crate::make::*;

const FORMATS: [Format; 3] = [Format::Png, Format::JPEG, Format::WebP];
const BYTE: u16 = 1;
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;

/// A tag: number, kind, value in big-endian order.
type Tag = (u16, u16, Vec<u8>);

/// A block as cameras write it: main folder, photo folder, place, and a thumbnail behind.
struct Block {
    big: bool,
    main: Vec<Tag>,
    photo: Vec<Tag>,
    place: Vec<Tag>,
}

impl Block {
    fn bytes(&self) -> Vec<u8> {
        let mut main = self.main.clone();
        main.push((0x8769, LONG, vec![0; 4]));
        main.push((0x8825, LONG, vec![0; 4]));
        let length = |tags: &[Tag]| -> usize {
            let values = tags.iter().map(|(_, _, value)| value.len());
            2 + tags.len() * 12 + 4 + values.filter(|&length| length > 4).sum::<usize>()
        };
        let photo_at = 8 + length(&main);
        let place_at = photo_at + length(&self.photo);
        let thumbnail_at = place_at + length(&self.place);
        let places = main.len();
        main[places - 2].2 = (photo_at as u32).to_be_bytes().to_vec();
        main[places - 1].2 = (place_at as u32).to_be_bytes().to_vec();
        let mut out = if self.big { *b"MM\0*" } else { *b"II*\0" }.to_vec();
        self.push(&mut out, &8u32.to_be_bytes(), 4);
        self.folder(&mut out, &main, thumbnail_at);
        self.folder(&mut out, &self.photo, 0);
        self.folder(&mut out, &self.place, 0);
        let thumbnail = (thumbnail_at + 2 + 24 + 4) as u32;
        let thumbnail = [
            (0x0201, LONG, thumbnail.to_be_bytes().to_vec()),
            (0x0202, LONG, 9u32.to_be_bytes().to_vec()),
        ];
        self.folder(&mut out, &thumbnail, 0);
        out.extend(b"thumbnail");
        out
    }

    /// Bytes of numbers of `width`, in the block's order.
    fn push(&self, out: &mut Vec<u8>, bytes: &[u8], width: usize) {
        for number in bytes.chunks(width) {
            let mut number = number.to_vec();
            if !self.big {
                number.reverse();
            }
            out.extend(number);
        }
    }

    fn folder(&self, out: &mut Vec<u8>, tags: &[Tag], next: usize) {
        let mut at = out.len() + 2 + tags.len() * 12 + 4;
        let mut values = Vec::new();
        self.push(out, &(tags.len() as u16).to_be_bytes(), 2);
        for (tag, kind, value) in tags {
            let (size, width) = match *kind {
                SHORT => (2, 2),
                LONG => (4, 4),
                RATIONAL => (8, 4),
                _ => (1, 1),
            };
            self.push(out, &tag.to_be_bytes(), 2);
            self.push(out, &kind.to_be_bytes(), 2);
            self.push(out, &((value.len() / size) as u32).to_be_bytes(), 4);
            if value.len() <= 4 {
                self.push(out, value, width);
                out.resize(out.len() + 4 - value.len(), 0);
            } else {
                self.push(out, &(at as u32).to_be_bytes(), 4);
                self.push(&mut values, value, width);
                at += value.len();
            }
        }
        self.push(out, &(next as u32).to_be_bytes(), 4);
        out.extend(values);
    }
}

fn rational(top: u32, bottom: u32) -> Vec<u8> {
    [top.to_be_bytes(), bottom.to_be_bytes()].concat()
}

fn camera(big: bool, orientation: u16) -> Block {
    Block {
        big,
        main: vec![
            (0x0100, LONG, 4000u32.to_be_bytes().to_vec()), // the stored width
            (0x010F, ASCII, b"Maker of cameras\0".to_vec()),
            (0x0112, SHORT, orientation.to_be_bytes().to_vec()),
            (0x011A, RATIONAL, rational(300, 1)),
            (0x011B, RATIONAL, rational(150, 1)),
            (0x0128, SHORT, vec![0, 2]),
            (0x013B, ASCII, b"Ann\0".to_vec()),
            (0x8649, BYTE, b"photoshop's preview".to_vec()),
            (0x9C9B, BYTE, b"T\0i\0t\0l\0e\0\0\0".to_vec()),
        ],
        photo: vec![
            (0x829A, RATIONAL, rational(1, 250)),
            (0x8827, SHORT, vec![1, 144]),
            (0x9003, ASCII, b"2024:05:06 07:08:09\0".to_vec()),
            (0x927C, UNDEFINED, b"maker's secrets".to_vec()),
            (0xA001, SHORT, vec![0xFF, 0xFF]), // another colour space
        ],
        place: vec![
            (0x0000, BYTE, vec![2, 3, 0, 0]),
            (0x0001, ASCII, b"N\0".to_vec()),
            (0x0012, ASCII, b"secret-place\0".to_vec()),
        ],
    }
}

fn holds(file: &[u8], needle: &[u8]) -> bool {
    file.windows(needle.len()).any(|part| part == needle)
}

/// `picture` in each format that sources bring EXIF in, with `block`.
fn sources(picture: &Picture, block: &[u8]) -> [Vec<u8>; 3] {
    let jpeg = encode(picture, Format::JPEG);
    [
        png_with(picture, vec![chunk(b"eXIf", block)]),
        with_segment(jpeg, 0xE1, &[b"Exif\0\0", block].concat()),
        webp_with(picture, 8, &[(b"EXIF", block)]),
    ]
}

#[test]
fn exif_is_passed_on_without_place_thumbnail_and_what_no_longer_holds() {
    let picture = busy(24, 16);
    for big in [true, false] {
        let block = camera(big, 6).bytes();
        for source in sources(&picture, &block) {
            let source = decode(&source);
            assert!(source.facts.place);
            let carried = Carried::of(&source.facts);
            // A quarter turn: what was across is down.
            assert_eq!(carried.dpi, Some((150.0, 300.0)));
            for (format, texts) in FORMATS
                .into_iter()
                .flat_map(|f| [(f, None), (f, Some("a prompt 夜"))])
            {
                let metadata = Metadata {
                    parameters: texts.map(str::to_owned),
                    carried: carried.clone(),
                    ..Metadata::default()
                };
                let file = imagegen_picture::encode(&source.picture, format, &metadata).unwrap();
                assert_eq!(file.warnings, []);
                let case = format!("{format:?}, big {big}, {texts:?}");
                for kept in [
                    "Maker of cameras\0",
                    "Ann\0",
                    "2024:05:06 07:08:09\0",
                    "T\0i\0t\0l\0e\0",
                ] {
                    assert!(holds(&file.bytes, kept.as_bytes()), "{case} lacks {kept}");
                }
                for dropped in ["secret", "thumbnail", "preview"] {
                    assert!(
                        !holds(&file.bytes, dropped.as_bytes()),
                        "{case} holds {dropped}"
                    );
                }
                let again = decode(&file.bytes);
                assert_eq!(again.facts.orientation, Orientation::Upright, "{case}");
                assert_eq!(again.picture.size(), source.picture.size(), "{case}");
                assert!(!again.facts.place, "{case}");
                assert_eq!(Carried::of(&again.facts), carried, "{case}");
                assert_eq!(again.warnings, [], "{case}");
                assert_eq!(read(&file.bytes).parameters.as_deref(), texts, "{case}");
            }
        }
    }
}

#[test]
fn numbers_keep_their_value_in_either_byte_order() {
    let tags = |big| Carried::of(&decode(&sources(&busy(8, 8), &camera(big, 1).bytes())[0]).facts);
    assert_eq!(tags(true), tags(false));
    assert!(!tags(true).exif.is_empty());
}

#[test]
fn a_resolution_is_kept_in_every_format() {
    for (dpi, tolerance) in [
        ((300.0, 300.0), 0.0),
        ((72.0, 96.0), 0.0),
        // The least; PNG's whole pixels per metre say 0.9906.
        ((256.0, 1.0), 0.0),
        ((118.11, 59.06), 0.6),
    ] {
        for format in FORMATS {
            let metadata = Metadata {
                carried: Carried {
                    dpi: Some(dpi),
                    ..Carried::default()
                },
                ..Metadata::default()
            };
            let file = imagegen_picture::encode(&busy(8, 8), format, &metadata).unwrap();
            let (x, y) = Carried::of(&decode(&file.bytes).facts).dpi.unwrap();
            let off = (x - dpi.0).abs().max((y - dpi.1).abs());
            assert!(off <= tolerance, "{format:?}: {x} {y} for {dpi:?}");
        }
    }
    for format in FORMATS {
        assert_eq!(decode(&encode(&busy(8, 8), format)).facts.dpi, None);
    }
}

#[test]
fn impossible_resolutions_are_not_passed_on() {
    let png = |per_metre: u32| {
        let numbers = [per_metre.to_be_bytes(), per_metre.to_be_bytes()].concat();
        let physical = chunk(b"pHYs", &[numbers.as_slice(), &[1]].concat());
        Carried::of(&decode(&png_with(&busy(8, 8), vec![physical])).facts).dpi
    };
    assert_eq!(png(11_811), Some((300.0, 300.0)));
    assert_eq!(png(1), None);
    assert_eq!(png(u32::MAX), None);
}

#[test]
fn tiff_and_bmp_say_what_they_are_made_of() {
    let mut bmp = include_bytes!("../fixtures/plain.bmp").to_vec();
    bmp[38..42].copy_from_slice(&11_811u32.to_le_bytes());
    bmp[42..46].copy_from_slice(&5906u32.to_le_bytes());
    let carried = Carried::of(&decode(&bmp).facts);
    assert_eq!(carried.dpi, Some((300.0, 150.0)));
    assert!(carried.exif.is_empty());
    // The folders of a TIFF file are EXIF's.
    let tiff = include_bytes!("../fixtures/plain.tiff").to_vec();
    assert!(Carried::of(&decode(&tiff).facts).exif.is_empty());
}

#[test]
fn a_place_without_a_place_in_it_is_none() {
    let mut block = camera(true, 1);
    block.place.truncate(1); // the folder's version alone
    let facts = decode(&sources(&busy(8, 8), &block.bytes())[0]).facts;
    assert!(!facts.place && !facts.exif_tags.is_empty());
}

#[test]
fn exif_gives_way_to_a_long_prompt_in_jpeg_and_that_is_said() {
    let mut block = camera(true, 1);
    // Values over 4 KiB are not passed on, nor more than 16 KiB in all.
    block.main.push((0x010E, ASCII, vec![b'l'; 5000]));
    for tag in [0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F] {
        block.main.push((tag, BYTE, vec![b'm'; 4090]));
    }
    let source = decode(&sources(&busy(8, 8), &block.bytes())[0]);
    let carried = Carried::of(&source.facts);
    let encode = |prompt: usize, format| {
        let metadata = Metadata {
            parameters: Some("p".repeat(prompt)),
            carried: carried.clone(),
            ..Metadata::default()
        };
        imagegen_picture::metadata::check(&metadata, format).unwrap();
        imagegen_picture::encode(&source.picture, format, &metadata).unwrap()
    };
    let file = encode(20_000, Format::JPEG);
    assert_eq!(file.warnings, []);
    assert!(holds(&file.bytes, &[b'm'; 4090]) && !holds(&file.bytes, &[b'l'; 100]));
    let file = encode(32_000, Format::JPEG);
    assert_eq!(file.warnings, [EncodeWarning::ExifLeftOut]);
    assert_eq!(decode(&file.bytes).facts.exif_tags, ExifTags::default());
    assert_eq!(read(&file.bytes).parameters.unwrap().len(), 32_000);
    let kept = Carried::of(&decode(&file.bytes).facts).dpi;
    assert_eq!(kept, carried.dpi);
    for format in [Format::Png, Format::WebP] {
        let file = encode(32_000, format);
        assert_eq!(file.warnings, []);
        assert_eq!(Carried::of(&decode(&file.bytes).facts), carried);
    }
}

#[test]
fn broken_exif_is_passed_over() {
    let whole = camera(false, 1).bytes();
    for length in 0..whole.len() {
        let facts = decode(&png_with(
            &busy(4, 4),
            vec![chunk(b"eXIf", &whole[..length])],
        ))
        .facts;
        let _ = Carried::of(&facts);
    }
    // Folders that point at themselves, and counts that reach to the end of all memory.
    for fill in [0x00, 0x08, 0x69, 0xFF] {
        let block = [&b"II*\0\x08\0\0\0\xFF\xFF"[..], &[fill; 400]].concat();
        decode(&png_with(&busy(4, 4), vec![chunk(b"eXIf", &block)]));
    }
}

/// `text` as UTF-16.
fn letters(big: bool, text: &str) -> Vec<u8> {
    let units = text.encode_utf16();
    match big {
        true => units.flat_map(u16::to_be_bytes).collect(),
        false => units.flat_map(u16::to_le_bytes).collect(),
    }
}

#[test]
fn user_comments_are_read_in_the_order_they_are_written_in() {
    for text in ["a café,\nSteps: 5", "夜の街", "一", "x"] {
        // The block's order, the text's, whether it has a mark.
        let mut cases = vec![
            (true, true, false),
            (true, false, true),
            (false, true, true),
            (false, false, true),
        ];
        if text != "一" {
            cases.push((false, false, false)); // U+4E00 backwards is an N
        }
        if text.is_ascii() || text.contains('é') {
            cases.push((false, true, false)); // Latin letters tell without a mark
        }
        for (block_big, text_big, mark) in cases {
            let mark = if mark { "\u{feff}" } else { "" };
            let comment = letters(text_big, &format!("{mark}{text}"));
            let mut block = camera(block_big, 1);
            let comment = [b"UNICODE\0", comment.as_slice()].concat();
            block.photo = vec![(0x9286, UNDEFINED, comment)];
            // PNG has texts of its own.
            for file in &sources(&busy(8, 8), &block.bytes())[1..] {
                let got = read(file).parameters;
                assert_eq!(
                    got.as_deref(),
                    Some(text),
                    "{block_big} {text_big} {mark:?}"
                );
            }
        }
    }
}
