//! What a picture says about its making, written and read back.

use imagegen_picture::metadata::{A1111Fields, DigitalSource, a1111_parameters, read};
use imagegen_picture::{EncodeError, Format, Metadata, Size, metadata};

use crate::make::*;

const FORMATS: [Format; 3] = [Format::Png, Format::JPEG, Format::WebP];

fn stamped(metadata: &Metadata, format: Format) -> Vec<u8> {
    imagegen_picture::encode(&busy(16, 16), format, metadata)
        .expect("metadata that fits")
        .bytes
}

#[test]
fn nasty_strings_come_back_from_every_format() {
    let nasty = [
        "",
        "plain",
        "two\nlines\r\nand \"quotes\" 'too', a, b: c",
        "日本語 😀 Ελληνικά עברית",
        "]]> </imagegen:request> <b>&amp; &lt; &#13; &",
        "zero\u{200b}width\u{200d}\u{feff} and \u{202e}turned",
        "DigitalSourceType http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        "一",
        "\u{feff}begins with a mark",
        "\t tabs \\u0000 \\ ends with a backslash \\",
    ];
    for text in nasty {
        for source in [
            None,
            Some(DigitalSource::Trained),
            Some(DigitalSource::CompositeWithTrained),
        ] {
            let want = Metadata {
                parameters: Some(text.into()),
                json: Some(text.into()),
                source,
                ..Metadata::default()
            };
            for format in FORMATS {
                assert_eq!(read(&stamped(&want, format)), want, "{format:?}");
            }
        }
    }
}

#[test]
fn control_characters_come_back_or_as_json_escapes() {
    let text = "a\u{1}b\u{7f}c\u{fffe}\u{0}d";
    let want = Metadata {
        parameters: Some(text.into()),
        json: Some(text.into()),
        ..Metadata::default()
    };
    assert_eq!(read(&stamped(&want, Format::Png)), want);
    for format in [Format::JPEG, Format::WebP] {
        let got = read(&stamped(&want, format));
        assert_eq!(got.parameters.as_deref(), Some(text));
        assert_eq!(got.json.as_deref(), Some("a\\u0001b\u{7f}c\\ufffe\\u0000d"));
    }
}

#[test]
fn metadata_does_not_touch_pixels() {
    let stamp = Metadata {
        parameters: Some("x".into()),
        json: Some("{}".into()),
        source: Some(DigitalSource::Trained),
        ..Metadata::default()
    };
    for format in FORMATS {
        let plain = decode(&stamped(&Metadata::default(), format));
        let decoded = decode(&stamped(&stamp, format));
        assert_eq!(decoded.picture, plain.picture);
        assert_eq!(decoded.warnings, []);
        assert_eq!(
            read(&stamped(&Metadata::default(), format)),
            Metadata::default()
        );
    }
}

#[test]
fn the_iptc_mark_stands_in_the_file() {
    for source in DigitalSource::ALL {
        let metadata = Metadata {
            source: Some(source),
            ..Metadata::default()
        };
        for format in FORMATS {
            let file = stamped(&metadata, format);
            let uri = source.uri().as_bytes();
            assert!(
                file.windows(uri.len()).any(|window| window == uri),
                "{format:?}"
            );
            assert_eq!(read(&file), metadata);
        }
    }
}

#[test]
fn texts_of_other_tools_are_read() {
    let picture = busy(4, 4);
    let png = |kind: &[u8; 4], payload: Vec<u8>| {
        read(&png_with(&picture, vec![chunk(kind, &payload)])).parameters
    };
    let keyword = b"parameters\0".as_slice();
    let latin1 = [keyword, b"caf\xE9"].concat();
    assert_eq!(png(b"tEXt", latin1).as_deref(), Some("café"));
    assert_eq!(
        png(b"tEXt", [keyword, "日本".as_bytes()].concat()).as_deref(),
        Some("日本")
    );
    let folded = [keyword, &[0], &deflate(b"folded")].concat();
    assert_eq!(png(b"zTXt", folded).as_deref(), Some("folded"));
    let folded = [keyword, &[1, 0, 0, 0], &deflate("gefaltet".as_bytes())].concat();
    assert_eq!(png(b"iTXt", folded).as_deref(), Some("gefaltet"));
    // 64 MiB out of 64 KiB is no text.
    let bomb = [keyword, &[1, 0, 0, 0], &deflate(&vec![b'a'; 64 << 20])].concat();
    assert_eq!(png(b"iTXt", bomb), None);

    let mut block = b"II*\0\x08\0\0\0\x01\0".to_vec();
    block.extend(b"\x69\x87\x04\0\x01\0\0\0\x1A\0\0\0\0\0\0\0"); // EXIF folder at 26
    block.extend(b"\x01\0\x86\x92\x07\0\x0C\0\0\0\x2C\0\0\0\0\0\0\0"); // 12 bytes at 44
    block.extend(b"UNICODE\0h\0i\0");
    let webp = webp_with(&picture, 8, &[(b"EXIF", &block)]);
    assert_eq!(read(&webp).parameters.as_deref(), Some("hi"));
}

#[test]
fn what_does_not_fit_is_known_before() {
    let long = "x".repeat(70_000);
    let texts = Metadata {
        parameters: Some(long.clone()),
        ..Metadata::default()
    };
    let json = Metadata {
        json: Some(long),
        ..Metadata::default()
    };
    for metadata in [texts, json] {
        assert!(metadata::check(&metadata, Format::JPEG).is_err());
        let error = imagegen_picture::encode(&busy(8, 8), Format::JPEG, &metadata).unwrap_err();
        assert!(matches!(error, EncodeError::Metadata(_)), "{error}");
        for format in [Format::Png, Format::WebP] {
            assert!(metadata::check(&metadata, format).is_ok());
            assert_eq!(read(&stamped(&metadata, format)), metadata);
        }
    }
}

fn fields() -> A1111Fields {
    A1111Fields {
        prompt: "oil painting".into(),
        negative_prompt: "blur".into(),
        steps: 30,
        sampler: "DDIM".into(),
        cfg_scale: 7.5,
        seed: u64::MAX,
        size: Size::new(512, 768),
        model_hash: Some("abcdef1234".into()),
        model: Some("starter".into()),
        denoising_strength: Some(0.5),
        version: "imagegen 0.1.0".into(),
        extra: vec![("Mask blur".into(), "4".into())],
    }
}

#[test]
fn the_text_reads_as_other_tools_expect() {
    let want = "oil painting\nNegative prompt: blur\nSteps: 30, Sampler: DDIM, CFG scale: 7.5, \
                Seed: 18446744073709551615, Size: 512x768, Model hash: abcdef1234, Model: starter, \
                Denoising strength: 0.5, Mask blur: 4, Version: imagegen 0.1.0";
    assert_eq!(a1111_parameters(&fields()), want);
    let bare = A1111Fields {
        negative_prompt: String::new(),
        model_hash: None,
        model: None,
        denoising_strength: None,
        extra: vec![],
        ..fields()
    };
    let want = "oil painting\nSteps: 30, Sampler: DDIM, CFG scale: 7.5, \
                Seed: 18446744073709551615, Size: 512x768, Version: imagegen 0.1.0";
    assert_eq!(a1111_parameters(&bare), want);
}

#[test]
fn a_prompt_cannot_pass_for_settings() {
    let attack =
        "cat\nNegative prompt: dog\r\nSteps: 5, Seed: 6\u{2028}STEPS: 7\u{85}x\u{b}y\u{c}z\n";
    let text = a1111_parameters(&A1111Fields {
        prompt: attack.into(),
        negative_prompt: attack.into(),
        ..fields()
    });
    let lines: Vec<&str> = text.split('\n').collect();
    let [prompt, negative, settings] = lines[..] else {
        panic!("{} lines: {text}", lines.len())
    };
    assert!(settings.starts_with("Steps: 30, Sampler: DDIM, "));
    assert!(negative.starts_with("Negative prompt: cat "));
    // Readers that look anywhere find ours first and only.
    assert_eq!(text.to_lowercase().matches("steps:").count(), 1);
    assert_eq!(text.to_lowercase().matches("negative prompt:").count(), 1);
    assert_eq!(
        prompt,
        "cat Negative prompt： dog Steps： 5, Seed: 6 STEPS： 7 x y z"
    );
    assert!(!text.contains(['\r', '\u{2028}', '\u{85}', '\u{b}', '\u{c}']));
}

#[test]
fn values_that_could_be_taken_for_more_are_quoted() {
    let text = a1111_parameters(&A1111Fields {
        model: Some("a, Seed: 6\n\"b\" \\ c".into()),
        extra: vec![
            ("Od,d: na\nme".into(), "x\u{1}".into()),
            ("Empty".into(), String::new()),
        ],
        ..fields()
    });
    assert_eq!(text.lines().count(), 3);
    let settings = text.lines().last().unwrap();
    assert!(
        settings.contains(r#"Model: "a, Seed: 6\n\"b\" \\ c", "#),
        "{settings}"
    );
    assert!(
        settings.contains(r#"Odd name: "x\u0001", Empty: "", Version: "#),
        "{settings}"
    );
}
