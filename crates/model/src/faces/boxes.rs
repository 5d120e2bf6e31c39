//! From the network's answers to one box a face.
//!
//! Several anchors see the same face. Their boxes are averaged by score rather than all but one dropped
//! (the paper's tie resolution), which keeps a box steady where the picture changes a little.

use super::RawFaces;
use super::network::BOX;

/// Pixels a side of the input.
const SIDE: f32 = 128.0;

/// Cells a side and anchors a cell of the two grids.
const GRIDS: [(usize, usize); 2] = [(16, 2), (8, 6)];

/// Boxes that share more than this part of their union are one face.
const SAME_FACE: f32 = 0.3;

/// A face, in shares of the input's side; parts can lie outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceBox {
    /// Left edge, around 0 to 1.
    pub left: f32,
    /// Upper edge, around 0 to 1.
    pub top: f32,
    /// Above 0.
    pub width: f32,
    /// Above 0.
    pub height: f32,
    /// How sure the network is, 0 to 1.
    pub score: f32,
}

impl FaceBox {
    /// False for boxes that are no place in a picture, whatever their score.
    fn has_area(&self) -> bool {
        let numbers = [self.left, self.top, self.width, self.height];
        numbers.iter().all(|number| number.is_finite()) && self.width > 0.0 && self.height > 0.0
    }

    /// The part of their union that two boxes share, 0 to 1.
    fn overlap(&self, other: &Self) -> f32 {
        let side = |a: f32, b: f32, end_a: f32, end_b: f32| (end_a.min(end_b) - a.max(b)).max(0.0);
        let shared = side(
            self.left,
            other.left,
            self.left + self.width,
            other.left + other.width,
        ) * side(
            self.top,
            other.top,
            self.top + self.height,
            other.top + other.height,
        );
        shared / (self.width * self.height + other.width * other.height - shared)
    }
}

/// One box a face, surest first, of those whose score reaches `threshold`.
pub(super) fn decide(raw: &RawFaces, threshold: f32) -> Vec<FaceBox> {
    let mut candidates: Vec<_> = anchors()
        .zip(raw.scores.data())
        .zip(raw.boxes.data().chunks_exact(BOX))
        .map(|((centre, &logit), numbers)| decode(centre, logit, numbers))
        .filter(|found| found.score >= threshold && found.has_area())
        .collect();
    // Stable, so equals keep the anchors' order.
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut faces = Vec::new();
    while !candidates.is_empty() {
        let surest = candidates.remove(0);
        let mut same = vec![surest];
        candidates.retain(|found| {
            let joins = found.overlap(&surest) > SAME_FACE;
            same.extend(joins.then_some(*found));
            !joins
        });
        faces.push(average(&same, surest.score));
    }
    faces
}

/// Centres of the anchors in shares of the side, in the order of the network's answers.
fn anchors() -> impl Iterator<Item = [f32; 2]> {
    GRIDS.into_iter().flat_map(|(cells, each)| {
        let place = move |cell: usize| (cell as f32 + 0.5) / cells as f32;
        (0..cells * cells * each).map(move |index| {
            let cell = index / each;
            [place(cell % cells), place(cell / cells)]
        })
    })
}

fn decode(centre: [f32; 2], logit: f32, numbers: &[f32]) -> FaceBox {
    let [x, y, width, height] = [0, 1, 2, 3].map(|i| numbers[i] / SIDE);
    FaceBox {
        left: centre[0] + x - width / 2.0,
        top: centre[1] + y - height / 2.0,
        width,
        height,
        score: 1.0 / (1.0 + libm::expf(-logit)),
    }
}

/// The mean of `boxes` weighed by score, with the score of the surest.
fn average(boxes: &[FaceBox], score: f32) -> FaceBox {
    let all: f32 = boxes.iter().map(|found| found.score).sum();
    let mean = |of: fn(&FaceBox) -> f32| {
        let sum: f32 = boxes.iter().map(|found| found.score * of(found)).sum();
        sum / all
    };
    FaceBox {
        left: mean(|found| found.left),
        top: mean(|found| found.top),
        width: mean(|found| found.width),
        height: mean(|found| found.height),
        score,
    }
}

#[cfg(test)]
mod tests {
    use imagegen_engine::Tensor;

    use super::*;

    const ANCHORS: usize = 896;

    /// Answers in which only `seen` (anchor, logit, x, y, width, height in pixels) is above nothing.
    fn answers(seen: &[(usize, f32, [f32; 4])]) -> RawFaces {
        let mut scores = Tensor::new([ANCHORS], vec![-50.0; ANCHORS]).unwrap();
        let mut boxes = Tensor::zeros([ANCHORS, BOX]);
        for &(anchor, logit, numbers) in seen {
            scores.data_mut()[anchor] = logit;
            boxes.data_mut()[anchor * BOX..][..4].copy_from_slice(&numbers);
        }
        RawFaces { scores, boxes }
    }

    fn close(got: f32, want: f32) -> bool {
        (got - want).abs() < 1e-6
    }

    #[test]
    fn anchors_are_the_centres_of_both_grids() {
        let all: Vec<_> = anchors().collect();
        assert_eq!(all.len(), ANCHORS);
        assert_eq!([all[0], all[1]], [[0.03125, 0.03125]; 2]);
        // Second cell of the second row of the fine grid; last of the fine, first of the coarse.
        assert_eq!(all[2 * 17], [0.09375, 0.09375]);
        assert_eq!(all[511], [0.96875, 0.96875]);
        assert_eq!(all[512], [0.0625, 0.0625]);
        assert_eq!(all[895], [0.9375, 0.9375]);
    }

    #[test]
    fn boxes_of_one_face_are_averaged_by_score() {
        // Logit 0 is a score of 0.5; ln 3 is 0.75.
        let one = [0.0, 0.0, 32.0, 32.0];
        let other = [8.0, 0.0, 32.0, 32.0];
        let faces = decide(&answers(&[(0, 0.0, one), (1, 3f32.ln(), other)]), 0.5);
        let [face] = faces.as_slice() else {
            panic!("{faces:?}")
        };
        // 0.75 of 1.25 of the way from one to the other.
        let centre = 0.03125 + 0.6 * 8.0 / 128.0;
        assert!(close(face.left + face.width / 2.0, centre), "{face:?}");
        assert!(
            close(face.width, 0.25) && close(face.score, 0.75),
            "{face:?}"
        );
    }

    #[test]
    fn boxes_apart_are_two_faces_surest_first() {
        let numbers = [0.0, 0.0, 16.0, 16.0];
        let faces = decide(&answers(&[(0, 1.0, numbers), (511, 2.0, numbers)]), 0.5);
        assert_eq!(faces.len(), 2);
        assert!(faces[0].score > faces[1].score && faces[0].left > faces[1].left);
    }

    #[test]
    fn what_is_unsure_empty_or_no_number_is_no_face() {
        let numbers = [0.0, 0.0, 16.0, 16.0];
        let seen = [
            (0, -0.1, numbers),
            (100, 9.0, [0.0, 0.0, -4.0, 16.0]),
            (200, f32::NAN, numbers),
            (300, 9.0, [0.0, 0.0, f32::NAN, 16.0]),
            (400, 9.0, [f32::INFINITY, 0.0, 16.0, 16.0]),
        ];
        assert_eq!(decide(&answers(&seen), 0.5), []);
        assert_eq!(decide(&answers(&seen[..1]), 0.4).len(), 1);
    }

    #[test]
    fn boxes_too_large_to_compare_are_no_endless_loop() {
        let huge = [0.0, 0.0, f32::MAX, f32::MAX];
        let seen = [(0, 9.0, huge), (1, 8.0, huge)];
        assert_eq!(decide(&answers(&seen), 0.5).len(), 2);
    }
}
