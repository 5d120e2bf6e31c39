//! Files to start from: the fixtures of the tests, and small ones made here.

use std::path::Path;

use imagegen_picture::metadata::{A1111Fields, DigitalSource, a1111_parameters};
use imagegen_picture::{Format, Metadata, Picture, Size, encode};

/// The seeds of a target.
pub(crate) fn of(target: &str) -> Result<Vec<Vec<u8>>, String> {
    match target {
        "weights" => Ok(weights()),
        "prompt" => Ok(prompts()),
        _ => pictures(),
    }
}

fn pictures() -> Result<Vec<Vec<u8>>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/picture/tests/fixtures");
    let fault = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fault)? {
        paths.push(entry.map_err(fault)?.path());
    }
    paths.sort(); // folders have no order, and the same seed shall give the same files
    let mut files = Vec::new();
    for path in paths {
        let is_text = path
            .extension()
            .is_some_and(|extension| extension == "md" || extension == "py");
        if !is_text {
            files.push(std::fs::read(&path).map_err(fault)?);
        }
    }
    files.extend(results()?);
    Ok(files)
}

/// Files as the product writes them, with everything they can carry.
fn results() -> Result<Vec<Vec<u8>>, String> {
    let size = Size::new(12, 9);
    let rgb = (0..12 * 9 * 3).map(|k| (k * 37 % 251) as u8).collect();
    let opaque = Picture::new(size, rgb, None).map_err(|error| error.to_string())?;
    let clear = opaque.clone().with_alpha(Some((0..108).collect()));
    let clear = clear.map_err(|error| error.to_string())?;
    let parameters = a1111_parameters(&A1111Fields {
        prompt: "a \"prompt\" 夜".into(),
        negative_prompt: "blur".into(),
        steps: 10,
        sampler: "DDIM".into(),
        cfg_scale: 1.5,
        seed: 7,
        size,
        model_hash: None,
        model: Some("m".into()),
        denoising_strength: Some(0.5),
        version: "1".into(),
        extra: Vec::new(),
    });
    let metadata = Metadata {
        parameters: Some(parameters),
        json: Some("{\"prompt\": \"a\", \"seed\": 7}".into()),
        source: Some(DigitalSource::CompositeWithTrained),
        carried: imagegen_picture::Carried {
            dpi: Some((300.0, 72.5)),
            ..Default::default()
        },
    };
    let mut files = Vec::new();
    for picture in [&opaque, &clear] {
        for format in [Format::Png, Format::JPEG, Format::WebP] {
            let encoded = encode(picture, format, &metadata);
            files.push(encoded.map_err(|error| error.to_string())?.bytes);
        }
    }
    Ok(files)
}

fn prompts() -> Vec<Vec<u8>> {
    let texts = [
        r"an (oil painting:1.3) of [a lake], ((warm)) palette \(soft\) \\",
        "[winter:night:0.5] of a [lake|(river:1.4)] [in spring:2][ at noon::3] [[a|b]:c:1]",
        "a cat :1.2 AND \"a AND b\" BREAK <lora:fur:0.8> (a:1,5) (b:nan)",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn weights() -> Vec<Vec<u8>> {
    let headers = [
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"n":1,"m":[2]}}"#,
        r#"{"a.b":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]},"c":{"dtype":"BF16","shape":[],"data_offsets":[4,6]},"d":{"dtype":"I64","shape":[0],"data_offsets":[6,6]}}  "#,
        r#"{"é\n":{"shape":[1,1,1,1],"data_offsets":[0,8],"dtype":"F64"}}"#,
    ];
    let file = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0, 60, 0, 60, 0x80, 0x3F, 0, 0]);
        bytes
    };
    headers.map(file).to_vec()
}
