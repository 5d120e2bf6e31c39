//! Faces in a picture: joins `picture`'s resize and `model`'s detector, in the picture's own pixels.
//! Says where faces are and how large; what follows from that is advice's business.

use imagegen_engine::{CpuBackend, Tensor};
use imagegen_model::faces::{FaceBox, FaceDetector};
use imagegen_picture::mask::Ellipse;
use imagegen_picture::{Filter, Picture, Size, WHITE, flatten, resize, to_unit};

use crate::{Cpu, Error};

/// Least score of a face, 0 to 1. The detector's makers take 0.5, for a camera that looks at people; here
/// most pictures show none. Of 1807 crops of landscapes and towns among the starter's sources, 162 reach
/// 0.5, 41 reach 0.6 and 4 reach 0.75; of 681 of paintings 261, 198 and 146, and what is lost are
/// mostly faces small, half out of the picture or hardly to be seen. A parrot of the Kodak set has 0.64.
const THRESHOLD: f32 = 0.75;

/// Pixels a side of what the detector looks at.
const SIDE: u32 = FaceDetector::<CpuBackend>::SIDE as u32;

/// A face, from forehead to chin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// Left edge, in pixels of the picture, 0 to its width.
    pub x: f32,
    /// Upper edge, in pixels of the picture, 0 to its height.
    pub y: f32,
    /// In pixels, above 0; `x + width` is at most the picture's width.
    pub width: f32,
    /// In pixels, above 0; `y + height` is at most the picture's height.
    pub height: f32,
    /// The part of the picture's area it takes, above 0 to 1.
    pub share: f32,
    /// How sure the detector is, 0.75 to 1. Some dogs' and cats' faces pass, at 0.85 at most so far.
    pub score: f32,
}

impl Face {
    /// The head around the face, hair, ears and chin included: what must be kept for a person to be the
    /// same. Half as wide again as the face on each side of it, and reaching higher than lower.
    pub(crate) fn head(&self) -> Ellipse {
        let [x, y, width, height] = [self.x, self.y, self.width, self.height].map(f64::from);
        Ellipse {
            centre: [x + width / 2.0, y + height * 0.3],
            radii: [width * 0.9, height * 1.05],
        }
    }
}

/// The faces in `picture`, largest first.
///
/// Sees upright faces that take about an eighth of the longer side or more: a portrait, not a crowd. The
/// same on every CPU and with any number of threads. Loads the detector anew, which takes less time than
/// looking.
///
/// Fails with [`Error::Engine`] where `cpu` cannot be had.
pub fn faces(picture: &Picture, cpu: Cpu) -> Result<Vec<Face>, Error> {
    let engine = CpuBackend::new(cpu.level, cpu.threads)?;
    let fail = |cause| Error::Model {
        model: "face detector".to_owned(),
        cause,
    };
    let detector = FaceDetector::embedded(&engine).map_err(fail)?;
    let view = View::of(picture.size());
    let found = detector
        .find(&engine, &view.pixels(picture)?, THRESHOLD)
        .map_err(fail)?;
    let mut faces: Vec<_> = found.iter().filter_map(|found| view.face(found)).collect();
    faces.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok(faces)
}

/// How a whole picture lies in the middle of the detector's square.
#[derive(Debug, Clone, Copy)]
struct View {
    picture: Size,
    /// Of the picture in the square.
    inside: Size,
    /// First column and row of the picture in the square.
    first: [u32; 2],
}

impl View {
    fn of(picture: Size) -> Self {
        let longer = u64::from(picture.width.max(picture.height));
        // Rounded, and at least one pixel of a hair's breadth.
        let side = |length: u32| {
            let scaled = (u64::from(length) * u64::from(SIDE) + longer / 2) / longer;
            scaled.max(1) as u32
        };
        let inside = Size::new(side(picture.width), side(picture.height));
        let first = [(SIDE - inside.width) / 2, (SIDE - inside.height) / 2];
        Self {
            picture,
            inside,
            first,
        }
    }

    /// The square, `[1, 128, 128, 3]` in −1..1: black where the picture is not, as the detector was
    /// trained.
    fn pixels(&self, picture: &Picture) -> Result<Tensor, Error> {
        let small = flatten(&resize(picture, self.inside, Filter::Bilinear), WHITE);
        let side = SIDE as usize;
        let mut square = vec![-1.0; side * side * 3];
        let row = self.inside.width as usize * 3;
        let [left, top] = self.first.map(|at| at as usize);
        for (y, from) in to_unit(small.rgb()).chunks_exact(row).enumerate() {
            square[((top + y) * side + left) * 3..][..row].copy_from_slice(from);
        }
        Ok(Tensor::new([1, side, side, 3], square)?)
    }

    /// A box of the square in the picture's pixels, cut at its edges. `None` where nothing is left.
    fn face(&self, found: &FaceBox) -> Option<Face> {
        let along = |start: f32, length: f32, first: u32, inside: u32, picture: u32| {
            let place = |at: f32| {
                let share = (at * SIDE as f32 - first as f32) / inside as f32;
                (share * picture as f32).clamp(0.0, picture as f32)
            };
            (place(start), place(start + length))
        };
        let Self {
            picture,
            inside,
            first,
        } = *self;
        let (x, right) = along(
            found.left,
            found.width,
            first[0],
            inside.width,
            picture.width,
        );
        let (y, bottom) = along(
            found.top,
            found.height,
            first[1],
            inside.height,
            picture.height,
        );
        let (width, height) = (right - x, bottom - y);
        let share = width / picture.width as f32 * (height / picture.height as f32);
        (share > 0.0).then_some(Face {
            x,
            y,
            width,
            height,
            share,
            score: found.score,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(left: f32, top: f32, width: f32, height: f32) -> FaceBox {
        FaceBox {
            left,
            top,
            width,
            height,
            score: 0.9,
        }
    }

    #[test]
    fn boxes_come_back_in_the_pictures_pixels() {
        // 512x256 lies as 128x64 in the rows 32 to 95.
        let view = View::of(Size::new(512, 256));
        assert_eq!((view.inside, view.first), (Size::new(128, 64), [0, 32]));
        let face = view.face(&found(0.25, 0.5, 0.25, 0.125)).unwrap();
        assert_eq!(
            [face.x, face.y, face.width, face.height],
            [128.0, 128.0, 128.0, 64.0]
        );
        assert_eq!(face.share, 0.0625);
    }

    #[test]
    fn boxes_are_cut_at_the_edges() {
        let view = View::of(Size::new(100, 200));
        let face = view.face(&found(0.0, -0.5, 1.0, 2.0)).unwrap();
        assert_eq!(
            [face.x, face.y, face.width, face.height],
            [0.0, 0.0, 100.0, 200.0]
        );
        assert_eq!(face.share, 1.0);
        // The square's left quarter is not the picture.
        assert_eq!(view.face(&found(0.0, 0.5, 0.2, 0.2)), None);
    }

    #[test]
    fn what_is_not_the_picture_is_black() {
        let white = Picture::filled(Size::new(2, 4), WHITE).unwrap();
        let square = View::of(white.size()).pixels(&white).unwrap();
        let row = &square.data()[..128 * 3];
        assert!(row[..32 * 3].iter().all(|&v| v == -1.0));
        assert!(row[32 * 3..96 * 3].iter().all(|&v| v == 1.0));
        assert!(row[96 * 3..].iter().all(|&v| v == -1.0));
    }
}
