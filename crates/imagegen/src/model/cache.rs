//! States of a network's deep layers, kept from step to step.

use imagegen_engine::Backend;
use imagegen_model::{Deep, UNet, UNetInput};

use super::Engine;

/// What deep layers of a network made at a step, for the steps after it that leave them out.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Every this many steps the network runs whole; 1 at least.
    pub(crate) interval: usize,
    /// Whether this step is one of them.
    whole: bool,
    /// Of each call of a step: a sampler may ask more than once, and so may windows.
    states: Vec<Deep<Engine>>,
    /// Calls of this step so far.
    calls: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            interval: 1,
            whole: true,
            states: Vec::new(),
            calls: 0,
        }
    }
}

impl Cache {
    /// Whether the network runs whole at a step, counted from 0.
    pub(crate) fn is_whole(interval: usize, step: usize) -> bool {
        step.is_multiple_of(interval.max(1))
    }

    pub(super) fn begin_step(&mut self, step: usize) {
        self.whole = Self::is_whole(self.interval, step);
        self.calls = 0;
        if self.whole {
            self.states.clear();
        }
    }

    /// Runs the network, or what of it is left where deep layers have run before.
    pub(super) fn run(
        &mut self,
        unet: &UNet<Engine>,
        engine: &Engine,
        input: &UNetInput<'_, Engine>,
    ) -> Result<<Engine as Backend>::Tensor, imagegen_model::Error> {
        if self.interval <= 1 {
            return unet.run(engine, input);
        }
        let call = self.calls;
        self.calls += 1;
        if let (false, Some(deep)) = (self.whole, self.states.get(call)) {
            return unet.run_shallow(engine, input, deep);
        }
        let (output, deep) = unet.run_keeping(engine, input)?;
        if call == self.states.len() {
            self.states.push(deep);
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_network_runs_at_the_first_step_and_every_so_many_after_it() {
        let whole = |interval| (0..7).filter(move |&step| Cache::is_whole(interval, step));
        assert_eq!(whole(1).count(), 7);
        assert_eq!(whole(3).collect::<Vec<_>>(), [0, 3, 6]);
        assert_eq!(whole(100).collect::<Vec<_>>(), [0]);
    }
}
