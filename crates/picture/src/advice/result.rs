//! Advice about a result, after the run.

use super::Advice;
use super::figures::unchanged;
use super::limits::*;
use crate::fidelity::Fidelity;

/// What is to be said about the result of a run of `strength` (0 to 1) whose `fidelity` to its source was
/// measured. Nothing at strength 0, which promises the source, and at strength 1, which promises nothing
/// of it. Not for inpainting: what is kept there says nothing about what was painted.
pub fn of_result(fidelity: &Fidelity, strength: f64) -> Vec<Advice> {
    let mut said = Vec::new();
    if strength <= 0.0 || strength >= 1.0 {
        return said;
    }
    if fidelity.overall >= unchanged(strength) {
        said.push(Advice::NothingChanged {
            fidelity: fidelity.overall,
            strength,
        });
    }
    if fidelity.structure <= UNRECOGNISABLE && strength < LOOSE_STRENGTH {
        said.push(Advice::NothingLeft {
            structure: fidelity.structure,
            strength,
        });
    }
    if fidelity.colour_shift >= SHIFTED {
        said.push(Advice::ColourShift {
            shift: fidelity.colour_shift,
            strength,
        });
    }
    said
}
