//! Safetensors files made to do harm: each is read or refused by name, at a price in proportion to its
//! length.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use imagegen_model::{Error, Weights};

/// A file of a header and `data` zero bytes.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn parse(bytes: Vec<u8>) -> Result<Weights, Error> {
    Weights::parse("m.safetensors", Arc::new(bytes))
}

#[track_caller]
fn assert_refused(bytes: Vec<u8>, words: &str) {
    let error = parse(bytes).unwrap_err().to_string();
    assert!(
        error.contains("m.safetensors") && error.contains(words),
        "{error}"
    );
}

fn entry(name: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
}

#[test]
fn every_prefix_of_a_file_is_refused() {
    let header = format!(
        "{{{},{}}}",
        entry("a", "[2]", "[0,8]"),
        entry("b", "[1]", "[8,12]")
    );
    let whole = file(&header, 12);
    for length in 0..whole.len() {
        assert!(
            parse(whole[..length].to_vec()).is_err(),
            "{length} of {}",
            whole.len()
        );
    }
    let weights = parse(whole).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    for (shape, offsets) in [
        ("[-1]", "[0,4]"),
        ("[1.5]", "[0,4]"),
        ("[1e3]", "[0,4]"),
        ("[\"1\"]", "[0,4]"),
        ("null", "[0,4]"),
        ("[18446744073709551616]", "[0,4]"),
        ("[1]", "[0]"),
        ("[1]", "[0,4,8]"),
        ("[1]", "[-4,0]"),
        ("[1]", "{}"),
    ] {
        let header = format!("{{{}}}", entry("a", shape, offsets));
        assert_refused(file(&header, 8), "its header is not valid");
    }
    for (shape, offsets, words) in [
        ("[1]", "[4,0]", "cut off"),
        (
            "[1]",
            "[18446744073709551611,18446744073709551615]",
            "cut off",
        ),
        ("[1]", "[8,12]", "cut off"),
        ("[9223372036854775807,2]", "[0,8]", "impossible shape"),
        ("[4611686018427387904]", "[0,8]", "impossible shape"),
        ("[0]", "[0,8]", "takes 0 bytes"),
        ("[]", "[0,8]", "takes 4 bytes"),
    ] {
        let header = format!("{{{}}}", entry("a", shape, offsets));
        assert_refused(file(&header, 8), words);
    }
}

#[test]
fn names_that_differ_in_spelling_alone_are_the_same() {
    let header = format!(
        "{{{},{}}}",
        entry("a", "[1]", "[0,4]"),
        entry("\\u0061", "[1]", "[4,8]")
    );
    assert_refused(file(&header, 8), "listed twice");
    let header = format!(
        "{{{},{}}}",
        entry("é", "[1]", "[0,4]"),
        entry("e\u{301}", "[1]", "[4,8]")
    );
    assert_eq!(parse(file(&header, 8)).unwrap().names().count(), 2);
}

#[test]
fn headers_that_are_no_text_are_refused() {
    let mut bytes = file(&format!("{{{}}}", entry("aaaa", "[1]", "[0,4]")), 4);
    let at = bytes.windows(4).position(|part| part == b"aaaa").unwrap();
    for odd in [[0xFF; 4], [0xED, 0xA0, 0x80, b'a'], [0; 4]] {
        bytes[at..at + 4].copy_from_slice(&odd);
        assert_refused(bytes.clone(), "its header is not valid");
    }
    let header = format!("{{{}}}", entry("\\ud800", "[1]", "[0,4]"));
    assert_refused(file(&header, 4), "its header is not valid");
    let header = format!("\u{feff}{{{}}}", entry("a", "[1]", "[0,4]"));
    assert_refused(file(&header, 4), "its header is not valid");
}

#[test]
fn deep_json_does_not_exhaust_the_stack() {
    let deep = |open: &str, close: &str| open.repeat(400_000) + "1" + &close.repeat(400_000);
    let closed = [deep("[", "]"), deep("{\"a\":", "}")];
    for value in [&closed[0], &closed[1], &"[".repeat(900_000)] {
        let with = |name: &str| format!("{{\"{name}\":{value},{}}}", entry("b", "[1]", "[0,4]"));
        assert_refused(file(&with("a"), 4), "its header is not valid");
        // Metadata is passed over whatever it holds, as long as it is JSON.
        let passed = parse(file(&with("__metadata__"), 4)).is_ok();
        assert_eq!(passed, closed.contains(value));
        let header = format!("{{{}}}", entry("a", value, "[0,4]"));
        assert_refused(file(&header, 4), "its header is not valid");
    }
}

#[test]
fn many_tensors_take_time_in_proportion() {
    let time = |count: usize| {
        let entries: Vec<_> = (0..count)
            .map(|k| {
                entry(
                    &format!("t{k}"),
                    "[1]",
                    &format!("[{},{}]", k * 4, k * 4 + 4),
                )
            })
            .collect();
        let bytes = file(&format!("{{{}}}", entries.join(",")), count * 4);
        let since = Instant::now();
        assert_eq!(parse(bytes).unwrap().names().count(), count);
        since.elapsed()
    };
    // Ten times the tensors: a hundred times the time would be a minute.
    let most = time(10_000) * 40 + Duration::from_secs(2);
    let took = time(100_000);
    assert!(took < most, "{took:?}, expected less than {most:?}");
}

#[test]
fn no_claim_makes_it_take_memory() {
    // Lengths far over the file's: refused by arithmetic, before anything is set aside.
    let mut bytes = file("{}", 0);
    for length in [u64::MAX, 1 << 40, 99_999_999, 3] {
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert_refused(bytes.clone(), &format!("claim a header of {length} bytes"));
    }
    let header = format!("{{{}}}", entry("a", "[1099511627776]", "[0,4398046511104]"));
    assert_refused(file(&header, 8), "cut off");
}

#[test]
fn a_tensor_is_what_its_place_holds() {
    let header = format!(
        "{{{},{}}}",
        entry("b", "[1]", "[8,12]"),
        entry("a", "[2]", "[0,8]")
    );
    let mut bytes = file(&header, 0);
    for number in [1.0f32, f32::NAN, -2.5] {
        bytes.extend(number.to_le_bytes());
    }
    let weights = parse(bytes).unwrap();
    let a = weights.tensor("a").unwrap();
    assert!(a.data()[0] == 1.0 && a.data()[1].is_nan());
    assert_eq!(weights.tensor("b").unwrap().data(), [-2.5]);
}

#[test]
fn failed_downloads_are_told_apart() {
    for (bytes, words) in [
        (
            &include_bytes!("no_model/empty.safetensors")[..],
            "empty (0 bytes)",
        ),
        (
            include_bytes!("no_model/eight_zeros.safetensors"),
            "holds no tensors",
        ),
        (
            include_bytes!("no_model/pointer.safetensors"),
            "LFS pointer",
        ),
        (
            include_bytes!("no_model/login_page.safetensors"),
            "web page (HTML)",
        ),
        (
            include_bytes!("no_model/json_error.safetensors"),
            "requires you to be logged in",
        ),
        (
            include_bytes!("no_model/pickle_inside.safetensors"),
            "pickle",
        ),
    ] {
        assert_refused(bytes.to_vec(), words);
    }
}
