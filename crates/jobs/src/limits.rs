//! How much is taken and kept.

use imagegen::Room;

/// How much is taken and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most jobs that wait.
    pub queued: usize,
    /// Most unfinished jobs of one owner.
    pub per_owner: usize,
    /// Days for which finished jobs and unused sources are kept; `None` for ever. Favourites and their
    /// sources stay.
    pub keep_days: Option<u32>,
    /// Most bytes of results and sources; `None` for any number. The oldest go first, favourites and
    /// sources in use never.
    pub keep_bytes: Option<u64>,
    /// Most bytes of memory for loaded models. The one in use always stays.
    pub memory: u64,
    /// Memory that models and their runs may take. What surely takes more fails.
    pub room: Room,
    /// Most pixels of a result.
    pub result_pixels: u64,
}

impl Default for Limits {
    /// 64 jobs, 16 of one owner; 30 days, 2 GiB; 4 GiB of memory; 100 megapixels.
    fn default() -> Self {
        Self {
            queued: 64,
            per_owner: 16,
            keep_days: Some(30),
            keep_bytes: Some(2 << 30),
            memory: 4 << 30,
            room: Room::Free,
            result_pixels: imagegen_picture::Limits::default().pixels,
        }
    }
}
