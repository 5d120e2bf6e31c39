//! Contact sheets: several pictures side by side, each with a caption, in one picture.
//! Layout only. Knows nothing of strengths, seeds or files; captions are the caller's words.

mod comparison;
mod text;

pub use comparison::Sheet;

use imagegen_picture::{Filter, Picture, Size};

use crate::Error;
use crate::shrink::shrunk;
use text::{Font, Ink};

/// Longest side of a picture on a sheet, in pixels; larger pictures are shrunk to it.
const CELL: u32 = 512;
/// Least width of a cell, so that captions under tiny pictures can be read.
const LEAST_WIDTH: u32 = 128;
/// Space around pictures, in pixels.
const GAP: u32 = 16;
/// Colour of the paper, sRGB.
const PAPER: [u8; 3] = [246, 246, 244];
/// Most pictures in a row where the caller leaves it open.
const ROW: usize = 5;

/// One picture of a sheet.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// The picture; clear parts are shown on white.
    pub picture: &'a Picture,
    /// Lines under it, of printable ASCII and `·`, `–`, `…`; other characters are left out.
    pub caption: Vec<String>,
}

/// Lays `cells` out in rows, in reading order.
///
/// Up to five pictures stand in one row, more in a block about as wide as high. Pictures keep their
/// aspect; those longer than 512 pixels are shrunk to it, none is enlarged. Fails with
/// [`Error::Setting`] where there is no cell.
pub fn contact_sheet(cells: &[Cell<'_>]) -> Result<Picture, Error> {
    if cells.is_empty() {
        return Err(Error::setting("contact sheet", "0 pictures", "at least 1"));
    }
    let shown = |cell: &Cell<'_>| shrunk(cell.picture, CELL, Filter::Lanczos3);
    let pictures: Vec<Picture> = cells.iter().map(shown).collect();
    let layout = Layout::new(&pictures, cells);
    let mut paper = Paper::new(layout.size());
    for (index, (picture, cell)) in pictures.iter().zip(cells).enumerate() {
        let (x, y) = layout.place(index);
        let [width, height] = [picture.size().width, picture.size().height];
        // Pictures stand on the line above their captions, in the middle of their cell.
        paper.lay(
            picture,
            x + (layout.cell.width - width) / 2,
            y + layout.cell.height - height,
        );
        for (line, text) in cell.caption.iter().enumerate() {
            let top = y + layout.cell.height + GAP / 2 + line as u32 * layout.line;
            paper.write(text, [x, top], layout.cell.width, layout.line);
        }
    }
    Ok(paper.finish())
}

/// Where everything goes.
struct Layout {
    /// Room for a picture.
    cell: Size,
    /// Height of a line of text.
    line: u32,
    lines: u32,
    columns: usize,
    rows: usize,
}

impl Layout {
    fn new(pictures: &[Picture], cells: &[Cell<'_>]) -> Self {
        let most = |side: fn(Size) -> u32| {
            let sides = pictures.iter().map(|picture| side(picture.size()));
            sides.max().unwrap_or(1)
        };
        let cell = Size::new(
            most(|size| size.width).max(LEAST_WIDTH),
            most(|size| size.height),
        );
        let columns = columns(pictures.len());
        Self {
            cell,
            line: (cell.width / 16).clamp(14, 28),
            lines: cells
                .iter()
                .map(|cell| cell.caption.len())
                .max()
                .unwrap_or(0) as u32,
            columns,
            rows: pictures.len().div_ceil(columns),
        }
    }

    /// Width and height of a cell with its caption and the space after it.
    fn stride(&self) -> (u32, u32) {
        let caption = if self.lines > 0 {
            GAP / 2 + self.lines * self.line
        } else {
            0
        };
        (self.cell.width + GAP, self.cell.height + caption + GAP)
    }

    fn size(&self) -> Size {
        let (across, down) = self.stride();
        Size::new(
            GAP + across * self.columns as u32,
            GAP + down * self.rows as u32,
        )
    }

    /// Upper left corner of a cell.
    fn place(&self, index: usize) -> (u32, u32) {
        let (across, down) = self.stride();
        let (column, row) = (index % self.columns, index / self.columns);
        (GAP + across * column as u32, GAP + down * row as u32)
    }
}

/// One row for a few, a block about as wide as high for more.
fn columns(count: usize) -> usize {
    if count <= ROW {
        return count;
    }
    (1..).find(|side| side * side >= count).unwrap_or(ROW)
}

/// The sheet while it is drawn.
struct Paper {
    size: Size,
    rgb: Vec<u8>,
    font: Font,
}

impl Paper {
    fn new(size: Size) -> Self {
        Self {
            size,
            rgb: PAPER.repeat(size.pixels() as usize),
            font: Font::embedded(),
        }
    }

    fn at(&self, x: u32, y: u32) -> usize {
        (y as usize * self.size.width as usize + x as usize) * 3
    }

    fn lay(&mut self, picture: &Picture, x: u32, y: u32) {
        let row = picture.size().width as usize * 3;
        for (index, pixels) in picture.rgb().chunks_exact(row).enumerate() {
            let at = self.at(x, y + index as u32);
            self.rgb[at..at + row].copy_from_slice(pixels);
        }
    }

    /// Writes one line in the middle of `width`, smaller where it would not fit.
    fn write(&mut self, text: &str, [x, y]: [u32; 2], width: u32, height: u32) {
        let inks = self.font.draw(text, width, height);
        for Ink {
            x: dx,
            y: dy,
            cover,
        } in inks
        {
            let at = self.at(x + dx, y + dy);
            for value in &mut self.rgb[at..at + 3] {
                *value = (f32::from(*value) * (1.0 - cover)) as u8;
            }
        }
    }

    fn finish(self) -> Picture {
        Picture::new(self.size, self.rgb, None).expect("the paper has its size")
    }
}

#[cfg(test)]
mod tests {
    use imagegen_picture::WHITE;

    use super::*;

    const RED: [u8; 3] = [200, 30, 30];

    fn sheet(sizes: &[(u32, u32)], caption: &[&str]) -> Picture {
        let pictures: Vec<_> = sizes
            .iter()
            .map(|&(width, height)| Picture::filled(Size::new(width, height), RED).unwrap())
            .collect();
        let cells: Vec<_> = pictures
            .iter()
            .map(|picture| Cell {
                picture,
                caption: caption.iter().map(|&line| line.to_owned()).collect(),
            })
            .collect();
        contact_sheet(&cells).unwrap()
    }

    fn count(sheet: &Picture, wanted: impl Fn([u8; 3]) -> bool) -> usize {
        let pixels = sheet.rgb().as_chunks::<3>().0;
        pixels.iter().filter(|pixel| wanted(**pixel)).count()
    }

    #[test]
    fn every_picture_is_there_whole() {
        let sizes = [(200, 100), (100, 200), (64, 64), (1, 4000)];
        let sheet = sheet(&sizes, &[]);
        // The tall one is shrunk to 1x512.
        let expected = 200 * 100 + 100 * 200 + 64 * 64 + 512;
        assert_eq!(count(&sheet, |pixel| pixel == RED), expected);
    }

    #[test]
    fn captions_are_written_under_the_pictures_and_fit() {
        let plain = sheet(&[(64, 64); 3], &[]);
        let long = "a caption much longer than the picture is wide, 0123456789";
        let written = sheet(&[(64, 64); 3], &["strength 0.35", long]);
        assert_eq!(written.size().width, plain.size().width);
        assert!(written.size().height > plain.size().height);
        let dark = |pixel: [u8; 3]| pixel[1] < 100 && pixel[0] < 100;
        assert_eq!(count(&plain, dark), 0);
        assert!(count(&written, dark) > 100);
        assert_eq!(count(&written, |pixel| pixel == RED), 3 * 64 * 64);
    }

    #[test]
    fn few_stand_in_a_row_and_many_in_a_block() {
        let columns: Vec<_> = (1..=12).map(columns).collect();
        assert_eq!(columns, [1, 2, 3, 4, 5, 3, 3, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn clear_parts_are_shown_on_white() {
        let size = Size::new(8, 8);
        let clear = Picture::new(size, vec![0; 192], Some(vec![0; 64])).unwrap();
        let cells = [Cell {
            picture: &clear,
            caption: Vec::new(),
        }];
        assert_eq!(
            count(&contact_sheet(&cells).unwrap(), |pixel| pixel == WHITE),
            64
        );
    }

    #[test]
    fn nothing_makes_no_sheet() {
        assert!(contact_sheet(&[]).is_err());
    }
}
