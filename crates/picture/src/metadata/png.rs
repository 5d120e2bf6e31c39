//! Metadata in PNG text chunks.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::{Metadata, xmp};
use crate::container::png::{Chunk, chunks};

const PARAMETERS: &str = "parameters";
const JSON: &str = "imagegen";
const XMP: &str = "XML:com.adobe.xmp";
/// A compressed text may unfold to this many bytes; more is read as absent.
const MAX_TEXT: u64 = 16 << 20;

/// Keyword and text of the iTXt chunks that say `metadata`.
pub(crate) fn texts(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let mut texts = Vec::new();
    texts.extend(metadata.parameters.clone().map(|text| (PARAMETERS, text)));
    texts.extend(metadata.json.clone().map(|json| (JSON, json)));
    texts.extend(
        metadata
            .source
            .map(|source| (XMP, xmp::write(None, Some(source)))),
    );
    texts
}

/// Reads iTXt, tEXt and zTXt chunks; of equal keywords the first counts.
pub(super) fn read(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    for (keyword, text) in chunks(bytes).filter_map(|chunk| text(&chunk)) {
        match keyword {
            b"parameters" => metadata.parameters = metadata.parameters.or(Some(text)),
            b"imagegen" => metadata.json = metadata.json.or(Some(text)),
            b"XML:com.adobe.xmp" => metadata.source = metadata.source.or(xmp::source(&text)),
            _ => {}
        }
    }
    metadata
}

fn text<'a>(chunk: &Chunk<'a>) -> Option<(&'a [u8], String)> {
    let (keyword, rest) = split_at_zero(chunk.payload)?;
    let text = match &chunk.kind {
        b"tEXt" => latin1(rest),
        b"zTXt" => latin1(&unfold(rest.strip_prefix(&[0])?)?),
        b"iTXt" => {
            let (&[compressed, method], rest) = rest.split_first_chunk::<2>()?;
            let (_language, rest) = split_at_zero(rest)?;
            let (_translated, rest) = split_at_zero(rest)?;
            let bytes = match (compressed, method) {
                (0, _) => rest.to_vec(),
                (1, 0) => unfold(rest)?,
                _ => return None,
            };
            String::from_utf8(bytes).ok()?
        }
        _ => return None,
    };
    Some((keyword, text))
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// tEXt is Latin-1 by the standard, yet many tools put UTF-8 there.
fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

fn unfold(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = ZlibDecoder::new(bytes)
        .take(MAX_TEXT + 1)
        .read_to_end(&mut out)
        .ok()?;
    (read as u64 <= MAX_TEXT).then_some(out)
}
