//! What a part says at each step: edits and alternations with their choice made.

use std::collections::HashMap;

use crate::brackets::{Edit, Form};
use crate::weights::{Piece, Tally, pieces};
use crate::{Error, Part, Warning};

/// Most different things that a text says in the course of a run, all its parts together.
pub const MOST_READINGS: usize = 64;

/// What a part says in the course of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Everything it says, each once, in the order of first use; at least one.
    pub readings: Vec<Vec<Piece>>,
    /// Which of them holds at each step.
    pub steps: Vec<usize>,
    /// What is to be said about the brackets.
    pub warnings: Vec<Warning>,
}

impl Schedule {
    /// One text for all steps, without grammar.
    pub fn plain(text: &str, steps: usize) -> Self {
        let piece = Piece::Text {
            text: text.to_owned(),
            weight: 1.0,
        };
        Self {
            readings: vec![vec![piece]],
            steps: vec![0; steps],
            warnings: Vec::new(),
        }
    }
}

impl Part {
    /// What this part says at each of `steps` steps.
    ///
    /// Fails with [`Error::TooManyReadings`] where that is more than [`MOST_READINGS`] different things.
    pub fn schedule(&self, steps: usize) -> Result<Schedule, Error> {
        let mut orders: Vec<Vec<usize>> = Vec::new();
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut said = Vec::with_capacity(steps);
        let changes = self.edits.iter().any(Option::is_some);
        // Without steps a part still says something: what it would say first.
        for step in 0..if changes { steps.max(1) } else { 1 } {
            let order = self.order(step, steps);
            let reading = *known.entry(order).or_insert_with_key(|order| {
                orders.push(order.clone());
                orders.len() - 1
            });
            if orders.len() > MOST_READINGS {
                return Err(Error::TooManyReadings);
            }
            said.push(reading);
        }
        said.resize(steps, 0);
        let mut tally = Tally::default();
        let mut readings = Vec::with_capacity(orders.len());
        for order in &orders {
            let (read, noted) = pieces(&self.marks, order, &self.text);
            tally.widen(noted);
            readings.push(read);
        }
        let mut warnings = tally.warnings();
        warnings.extend(self.switch_warnings(steps));
        Ok(Schedule {
            readings,
            steps: said,
            warnings,
        })
    }

    /// The marks that are read at `step` of `steps`, by their places.
    fn order(&self, step: usize, steps: usize) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.marks.len());
        let mut place = 0;
        // Where the chosen sides of edits end, and where reading goes on then.
        let mut within: Vec<(usize, usize)> = Vec::new();
        loop {
            while let Some(&(end, after)) = within.last()
                && place == end
            {
                within.pop();
                place = after;
            }
            if place >= self.marks.len() {
                return order;
            }
            let Some(edit) = &self.edits[place] else {
                order.push(place);
                place += 1;
                continue;
            };
            let chosen = edit.chosen(step, steps);
            within.push((chosen.end, edit.close + 1));
            place = chosen.start;
        }
    }

    fn switch_warnings(&self, steps: usize) -> Vec<Warning> {
        let (mut never, mut at_once) = (0, 0);
        for edit in self.edits.iter().flatten().filter(|_| steps > 0) {
            if let Form::Switch { when, .. } = &edit.form {
                let before = when.steps(steps);
                never += usize::from(before == steps);
                at_once += usize::from(before == 0 && when.is_later());
            }
        }
        let never = (never > 0).then_some(Warning::NeverSwitches {
            edits: never,
            steps,
        });
        let at_once = (at_once > 0).then_some(Warning::SwitchesAtOnce {
            edits: at_once,
            steps,
        });
        never.into_iter().chain(at_once).collect()
    }
}

impl Edit {
    /// The marks it stands for at `step` of `steps`.
    fn chosen(&self, step: usize, steps: usize) -> std::ops::Range<usize> {
        match &self.form {
            Form::Switch { from, to, when } => match step < when.steps(steps) {
                true => from.clone(),
                false => to.clone(),
            },
            Form::Alternate(choices) => choices[step % choices.len()].clone(),
        }
    }
}
