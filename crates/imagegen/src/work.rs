//! How much work a request is, so that its time can be told from that of others.

use crate::inpaint::inpaint_calls;
use crate::run::{generate_calls, transform_calls};
use crate::{Error, Model, Request, Size};

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
        let [width, height] = recipe.work_size;
        let mut pixels = u64::from(width) * u64::from(height);
        if recipe.tiles.is_some()
            && let Some(windows) = self.windows(Size::new(width, height))?
        {
            // They overlap.
            let cell = self.latent_space().1;
            let latents = [height, width].map(|side| side as usize / cell);
            let [h, w] = windows.size(latents);
            pixels = (windows.count(latents) * h * w * cell * cell) as u64;
        }
        Ok(Work {
            runs,
            calls: runs * calls,
            pixels,
        })
    }
}
