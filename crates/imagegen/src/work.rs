//! How much work a request is, so that its time can be told from that of others.

use crate::inpaint::inpaint_calls;
use crate::run::{generate_calls, transform_calls};
use crate::tiled::Tiled;
use crate::{Error, Model, Request};

/// What carrying out a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Steps that run.
    pub runs: usize,
    /// Calls of the network: two a step where a prompt is weighed against a negative prompt, one more for
    /// each further part of it.
    pub calls: usize,
    /// Pixels of the size the model works at.
    pub pixels: u64,
}

impl Work {
    /// One figure that grows about as the time does, for requests to one model: calls times pixels.
    pub fn amount(self) -> f64 {
        self.calls as f64 * self.pixels as f64
    }
}

impl Model {
    /// How much work a request is. Runs nothing.
    ///
    /// Fails where the request cannot be carried out, as [`Model::plan`] does.
    pub fn work(&self, request: &Request<'_>) -> Result<Work, Error> {
        let recipe = self.plan(request)?;
        let (runs, calls) = match request {
            Request::Transform(request) => transform_calls(self, request)?,
            Request::Generate(request) => generate_calls(self, request)?,
            Request::Inpaint(request) => inpaint_calls(self, request)?,
        };
        let mut size = recipe.work_size;
        if recipe.enlarge.is_some() {
            // Worked on in windows, which overlap.
            let (side, grid) = (self.native_side(), self.grid());
            let windows = Tiled::windows(side, grid, size) as u32;
            size = [side.min(size[0]) * windows, side.min(size[1])];
        }
        let [width, height] = size.map(u64::from);
        Ok(Work {
            runs,
            calls: runs * calls,
            pixels: width * height,
        })
    }
}
