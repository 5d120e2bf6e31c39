//! How much work a request is, so that its time can be told from that of others.

use crate::inpaint::inpaint_calls;
use crate::model::Cache;
use crate::prompts::ReadTexts;
use crate::run::{generate_calls, hires_calls, transform_calls};
use crate::{Error, Model, Request, Size};

/// Calls of the network in a pass, where a sampler asks once a step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Calls {
    /// Steps that run.
    runs: usize,
    /// Steps that are guided, from the first, and calls in each.
    guided: usize,
    guided_calls: usize,
    /// Calls in each of the others.
    free_calls: usize,
    /// Every how many steps the network runs whole, and what share of its work the other steps take.
    interval: usize,
    shallow: f64,
}

impl Calls {
    pub(crate) fn of(
        runs: usize,
        resolved: &imagegen_pipeline::Settings,
        texts: &ReadTexts,
    ) -> Result<Self, Error> {
        Ok(Self {
            runs,
            guided: resolved.guided_steps(runs)?,
            guided_calls: texts.calls(),
            free_calls: texts.free_calls(),
            interval: 1,
            shallow: 1.0,
        })
    }

    /// The same, with a whole network every `interval` steps and its share of `shallow` at the others.
    fn cached(self, (interval, shallow): (usize, f64)) -> Self {
        Self {
            interval,
            shallow,
            ..self
        }
    }

    /// Calls at a step, counted from 0.
    fn at(self, step: usize) -> usize {
        match step < self.guided {
            true => self.guided_calls,
            false => self.free_calls,
        }
    }

    fn all(self) -> usize {
        (0..self.runs).map(|step| self.at(step)).sum()
    }

    /// Work up to the end of a step, in calls of the whole network.
    fn until(self, step: usize) -> f64 {
        let work = |step| match Cache::is_whole(self.interval, step) {
            true => self.at(step) as f64,
            false => self.at(step) as f64 * self.shallow,
        };
        (0..step.min(self.runs)).map(work).sum()
    }
}

/// What carrying out a request takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Steps that run.
    pub runs: usize,
    /// Calls of the network, whole or not: two a step where a prompt is weighed against a negative prompt, one more for
    /// each further part of it.
    pub calls: usize,
    /// Pixels that the network sees in a call, all windows taken together; of two passes the mean.
    pub pixels: u64,
    /// Both passes, the second empty where there is but one, with the pixels of each.
    passes: [(Calls, u64); 2],
}

impl Work {
    /// One figure that grows about as the time does, for requests to one model: calls times pixels.
    pub fn amount(self) -> f64 {
        self.until(self.runs)
    }

    /// What part of it is done after `step` of its steps, 0 to 1: a step counts by its calls and their pixels.
    pub fn share(self, step: usize) -> f64 {
        let all = self.amount();
        if all > 0.0 {
            self.until(step) / all
        } else {
            1.0
        }
    }

    /// The amount up to the end of a step.
    fn until(self, step: usize) -> f64 {
        let [(first, pixels), (second, more)] = self.passes;
        let later = second.until(step.saturating_sub(first.runs));
        first.until(step) * pixels as f64 + later * more as f64
    }
}

impl Model {
    /// How much work a request is. Runs nothing.
    ///
    /// Fails where the request cannot be carried out, as [`Model::plan`] does.
    pub fn work(&self, request: &Request<'_>) -> Result<Work, Error> {
        let recipe = self.plan(request)?;
        let first = match request {
            Request::Transform(request) => transform_calls(self, request)?,
            Request::Generate(request) => generate_calls(self, request)?,
            Request::Inpaint(request) => inpaint_calls(self, request)?,
        };
        let caching = (recipe.cache_interval.unwrap_or(1), self.shallow_share());
        let first = first.cached(caching);
        let pixels = self.seen_pixels(recipe.work_size, recipe.tiles.is_some())?;
        let (mut second, mut more) = (Calls::default(), 0);
        if let (Request::Generate(request), Some(mark)) = (request, &recipe.hires) {
            second = hires_calls(self, request)?
                .unwrap_or_default()
                .cached(caching);
            more = self.seen_pixels(mark.work_size, mark.tiles.is_some())?;
        }
        let [early, late] = [first, second].map(|pass| pass.all() as u64);
        let calls = early + late;
        Ok(Work {
            runs: first.runs + second.runs,
            calls: calls as usize,
            // The mean of both passes.
            pixels: match late {
                0 => pixels,
                _ => (early * pixels + late * more) / calls,
            },
            passes: [(first, pixels), (second, more)],
        })
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
