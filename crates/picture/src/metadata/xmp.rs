//! The XMP packet: our JSON and IPTC's digital source type. Reads packets of the shape it writes.

use super::DigitalSource;

const OPEN: &str = "<imagegen:request>";
const CLOSE: &str = "</imagegen:request>";

/// A packet that says `json` and `source`.
pub(super) fn write(json: Option<&str>, source: Option<DigitalSource>) -> String {
    let mut body = String::new();
    if let Some(source) = source {
        let uri = source.uri();
        body += &format!("<Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>");
    }
    if let Some(json) = json {
        body += &format!("{OPEN}{}{CLOSE}", escape(json));
    }
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" \
         xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\" \
         xmlns:imagegen=\"urn:imagegen:xmp:1\">\
         {body}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>"
    )
}

/// The JSON of a packet.
pub(super) fn json(packet: &str) -> Option<String> {
    let start = packet.find(OPEN)? + OPEN.len();
    let length = packet[start..].find(CLOSE)?;
    Some(unescape(&packet[start..start + length]))
}

/// The digital source type of a packet, as element or attribute.
pub(super) fn source(packet: &str) -> Option<DigitalSource> {
    const NAME: &str = "DigitalSourceType";
    // Our own request is text of a user and may name the tag; it comes behind the tag itself.
    let own = packet.find(OPEN).unwrap_or(packet.len());
    let value = &packet[packet[..own].find(NAME)? + NAME.len()..own];
    let value = &value[value.find("http")?..];
    let end = value.find(|c: char| matches!(c, '<' | '"' | '\'') || c.is_whitespace())?;
    DigitalSource::ALL
        .into_iter()
        .find(|source| source.uri() == &value[..end])
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '\r' => out += "&#13;", // an XML reader would turn it into a line feed
            '\t' | '\n' => out.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out += &format!("\\u{:04x}", c as u32),
            _ => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at..];
        let end = rest.find(';').unwrap_or(0);
        match entity(&rest[..end]) {
            Some(c) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// The character of an entity, written with its `&` and without its `;`.
fn entity(name: &str) -> Option<char> {
    match name {
        "&amp" => Some('&'),
        "&lt" => Some('<'),
        "&gt" => Some('>'),
        "&quot" => Some('"'),
        "&apos" => Some('\''),
        _ => {
            let number = name.strip_prefix("&#")?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}
