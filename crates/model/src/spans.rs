//! How sides that are too long to be worked on at one time are cut, with what lies around each part. Numbers alone.

/// A part of a side: what is looked at, and the part of it that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First pixel that is looked at.
    pub first: usize,
    /// Behind the last pixel that is looked at.
    pub last: usize,
    /// First pixel that is kept.
    pub start: usize,
    /// Behind the last pixel that is kept.
    pub end: usize,
}

impl Span {
    /// Spans of at most `window` pixels whose kept parts cover `side` one after the other, with `around` pixels beside them where the
    /// side goes on. `window` must be more than twice `around`.
    pub fn apart(side: usize, window: usize, around: usize) -> Vec<Self> {
        if side <= window {
            return vec![Self {
                first: 0,
                last: side,
                start: 0,
                end: side,
            }];
        }
        let inner = window - 2 * around;
        (0..side)
            .step_by(inner)
            .map(|start| {
                let end = (start + inner).min(side);
                Self {
                    first: start.saturating_sub(around),
                    last: (end + around).min(side),
                    start,
                    end,
                }
            })
            .collect()
    }

    /// Pixels that are looked at.
    pub fn seen(self) -> usize {
        self.last - self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_parts_cover_a_side_once() {
        for side in [1, 100, 384, 385, 500, 692, 693, 4000] {
            let spans = Span::apart(side, 384, 19);
            assert_eq!(spans[0].start, 0);
            assert_eq!(spans.last().unwrap().end, side);
            for pair in spans.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert_eq!(pair[0].last.min(pair[0].end + 19), pair[0].last);
            }
            for span in &spans {
                assert!(span.seen() <= 384 && span.first <= span.start && span.end <= span.last);
                assert!(span.start == 0 || span.start - span.first == 19);
                assert!(span.end == side || span.last - span.end == 19 || span.last == side);
            }
        }
    }
}
