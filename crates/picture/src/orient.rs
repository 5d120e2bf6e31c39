//! EXIF orientation: how a stored picture is turned and mirrored to stand upright.

use crate::{Picture, Size};

/// How the stored picture has to be moved to stand upright. The numbers are EXIF's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// 1: stored upright.
    #[default]
    Upright = 1,
    /// 2: mirror left and right.
    Mirror = 2,
    /// 3: half a turn.
    HalfTurn = 3,
    /// 4: mirror top and bottom.
    Flip = 4,
    /// 5: exchange rows and columns.
    Transpose = 5,
    /// 6: a quarter turn clockwise.
    TurnRight = 6,
    /// 7: exchange rows and columns over the other diagonal.
    Transverse = 7,
    /// 8: a quarter turn anticlockwise.
    TurnLeft = 8,
}

impl Orientation {
    /// All eight, in EXIF's order.
    pub const ALL: [Self; 8] = [
        Self::Upright,
        Self::Mirror,
        Self::HalfTurn,
        Self::Flip,
        Self::Transpose,
        Self::TurnRight,
        Self::Transverse,
        Self::TurnLeft,
    ];

    /// The orientation of EXIF's number 1 to 8.
    pub fn from_exif(value: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|orientation| *orientation as u16 == value)
    }

    /// True where width and height change places.
    pub fn turns_size(self) -> bool {
        self as u16 >= 5
    }

    /// The size of the upright picture whose stored size is `stored`.
    pub fn upright_size(self, stored: Size) -> Size {
        if self.turns_size() {
            stored.turned()
        } else {
            stored
        }
    }

    /// The picture, set upright; alpha turns along.
    pub fn apply(self, stored: Picture) -> Picture {
        if self == Self::Upright {
            return stored;
        }
        let size = stored.size();
        let upright = self.upright_size(size);
        let (rgb, alpha) = stored.into_planes();
        let alpha = alpha.map(|alpha| self.turn::<1>(&alpha, size));
        Picture::from_planes(upright, self.turn::<3>(&rgb, size), alpha)
    }

    fn turn<const CHANNELS: usize>(self, stored: &[u8], size: Size) -> Vec<u8> {
        let (width, height) = (size.width as usize, size.height as usize);
        let upright = self.upright_size(size);
        let mut out = Vec::with_capacity(stored.len());
        for y in 0..upright.height as usize {
            for x in 0..upright.width as usize {
                let (from_x, from_y) = match self {
                    Self::Upright => (x, y),
                    Self::Mirror => (width - 1 - x, y),
                    Self::HalfTurn => (width - 1 - x, height - 1 - y),
                    Self::Flip => (x, height - 1 - y),
                    Self::Transpose => (y, x),
                    Self::TurnRight => (y, height - 1 - x),
                    Self::Transverse => (width - 1 - y, height - 1 - x),
                    Self::TurnLeft => (width - 1 - y, x),
                };
                let at = (from_y * width + from_x) * CHANNELS;
                out.extend_from_slice(&stored[at..at + CHANNELS]);
            }
        }
        out
    }
}
