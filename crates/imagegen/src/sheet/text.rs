//! Words on a sheet: one line at a time, in the embedded font. Knows no layout.

use ab_glyph::{Font as _, FontRef, GlyphId, PxScale, ScaleFont as _, point};

/// DejaVu Sans, reduced to printable ASCII, `·`, `–` and `…`; its licence lies beside it.
const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");
/// Text below this height, in pixels, cannot be read; a line that is still too long is cut.
const LEAST: f32 = 8.0;

/// How much of a pixel a letter covers, 0 to 1.
pub(super) struct Ink {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) cover: f32,
}

pub(super) struct Font(FontRef<'static>);

impl Font {
    pub(super) fn embedded() -> Self {
        Self(FontRef::try_from_slice(FONT).expect("the embedded font is sound"))
    }

    /// Width of `text` at a height of `scale` pixels.
    fn width(&self, text: &str, scale: f32) -> f32 {
        let font = self.0.as_scaled(PxScale::from(scale));
        let mut width = 0.0;
        let mut last: Option<GlyphId> = None;
        for glyph in text.chars().filter_map(|c| self.glyph(c)) {
            width += last.map_or(0.0, |last| font.kern(last, glyph)) + font.h_advance(glyph);
            last = Some(glyph);
        }
        width
    }

    /// The letter, if the font has it.
    fn glyph(&self, c: char) -> Option<GlyphId> {
        let glyph = self.0.glyph_id(c);
        (glyph.0 != 0).then_some(glyph)
    }

    /// The pixels of `text` in the middle of a box of `width` by `height` pixels. Text that is too
    /// wide is made smaller, then cut at the right.
    pub(super) fn draw(&self, text: &str, width: u32, height: u32) -> Vec<Ink> {
        let (room, full) = (width as f32, height as f32);
        let natural = self.width(text, full);
        let scale = if natural > room {
            (full * room / natural).max(LEAST)
        } else {
            full
        };
        let font = self.0.as_scaled(PxScale::from(scale));
        let mut pen = ((room - self.width(text, scale)) / 2.0).max(0.0);
        let base = (full - font.height()) / 2.0 + font.ascent();
        let mut inks = Vec::new();
        let mut last: Option<GlyphId> = None;
        for glyph in text.chars().filter_map(|c| self.glyph(c)) {
            pen += last.map_or(0.0, |last| font.kern(last, glyph));
            let placed = glyph.with_scale_and_position(PxScale::from(scale), point(pen, base));
            if let Some(outline) = self.0.outline_glyph(placed) {
                let bounds = outline.px_bounds();
                outline.draw(|x, y, cover| {
                    let x = bounds.min.x as i64 + i64::from(x);
                    let y = bounds.min.y as i64 + i64::from(y);
                    let inside =
                        (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
                    if inside && cover > 0.0 {
                        inks.push(Ink {
                            x: x as u32,
                            y: y as u32,
                            cover: cover.min(1.0),
                        });
                    }
                });
            }
            pen += font.h_advance(glyph);
            last = Some(glyph);
        }
        inks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_a_caption_is_in_the_font() {
        let font = Font::embedded();
        for c in (' '..='~').chain(['·', '–', '…']) {
            assert!(font.glyph(c).is_some(), "{c:?}");
        }
        assert!(font.glyph('夜').is_none());
    }

    #[test]
    fn text_that_is_too_wide_gets_smaller_and_stays_inside() {
        let font = Font::embedded();
        let wide = font.draw(&"strength ".repeat(30), 60, 20);
        assert!(!wide.is_empty());
        assert!(wide.iter().all(|ink| ink.x < 60 && ink.y < 20));
        let inks = font.draw("strength 0.5", 200, 20);
        let left = inks.iter().map(|ink| ink.x).min().unwrap();
        let right = inks.iter().map(|ink| ink.x).max().unwrap();
        assert!(left.abs_diff(199 - right) <= 2, "{left} {right}");
    }
}
