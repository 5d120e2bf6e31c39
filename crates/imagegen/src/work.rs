//! How much work a request is, so that its time can be told from that of others.

use crate::inpaint::inpaint_calls;
use crate::run::{generate_calls, hires_calls, transform_calls};
use crate::{Error, Model, Request, Size};

/// What carrying out a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Steps that run.
    pub runs: usize,
    /// Calls of the network: two a step where a prompt is weighed against a negative prompt, one more for
    /// each further part of it.
    pub calls: usize,
    /// Pixels that the network sees in a call, all windows taken together; of two passes the mean.
    pub pixels: u64,
    /// Steps of the first of two passes, and its calls times pixels.
    first: Option<(usize, u64)>,
}

impl Work {
    /// One figure that grows about as the time does, for requests to one model: calls times pixels.
    pub fn amount(self) -> f64 {
        self.calls as f64 * self.pixels as f64
    }

    /// What part of it is done after `step` of its steps, 0 to 1: a step of a second pass counts as much more as it has more
    /// pixels.
    pub fn share(self, step: usize) -> f64 {
        let part = |step: usize, steps: usize| step as f64 / steps.max(1) as f64;
        let Some((steps, amount)) = self.first else {
            return part(step, self.runs);
        };
        let first = amount as f64 / self.amount().max(1.0);
        match step.checked_sub(steps) {
            None | Some(0) => first * part(step, steps),
            Some(second) => first + (1.0 - first) * part(second, self.runs - steps),
        }
        .min(1.0)
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
        let mut work = Work {
            runs,
            calls: runs * calls,
            pixels: self.seen_pixels(recipe.work_size, recipe.tiles.is_some())?,
            first: None,
        };
        if let (Request::Generate(request), Some(mark)) = (request, &recipe.hires) {
            let (runs, calls) = hires_calls(self, request)?;
            let (calls, first) = ((runs * calls) as u64, work.calls as u64);
            let pixels = self.seen_pixels(mark.work_size, mark.tiles.is_some())?;
            work.first = Some((work.runs, first * work.pixels));
            // The mean of both passes, so that the amount is their sum.
            work.pixels = (first * work.pixels + calls * pixels) / (first + calls).max(1);
            work.runs += runs;
            work.calls += calls as usize;
        }
        Ok(work)
    }

    /// Pixels that the network sees of a picture that it works on at `[width, height]`: more than the picture has where
    /// it sees it in windows, which overlap.
    fn seen_pixels(&self, [width, height]: [u32; 2], in_windows: bool) -> Result<u64, Error> {
        let windows = self.windows(Size::new(width, height))?;
        let Some(windows) = windows.filter(|_| in_windows) else {
            return Ok(u64::from(width) * u64::from(height));
        };
        let cell = self.latent_space().1;
        let latents = [height, width].map(|side| side as usize / cell);
        let [h, w] = windows.size(latents);
        Ok((windows.count(latents) * h * w * cell * cell) as u64)
    }
}
