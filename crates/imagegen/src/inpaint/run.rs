//! Carrying out an inpainting: canvas and mask, the part the model sees, the run, pasting, checking.

use std::sync::{Arc, PoisonError};

use imagegen_engine::Tensor;
use imagegen_picture::fidelity::compare;
use imagegen_picture::mask::Mask;
use imagegen_picture::{
    Carried, FitPlan, Limits, Paste, Picture, Rect, Size, WHITE, fill, fill_with_patches, flatten,
    kept, paste, patched_from, seam,
};
use imagegen_pipeline::{MaskedContent, Plan, Strength, inpaint};

use super::area::{EdgePlan, Native, seen};
use super::{Inpaint, InpaintMark, Intent, MaskMark, Painted};
use crate::prompts::ReadTexts;
use crate::recipe::{Recipe, SourceMark};
use crate::refiner::alone;
use crate::run::{Aids, MIN_SIDE, facts, resampled, sides, to_picture, unit_tensor, without_hires};
use crate::work::Calls;
use crate::{
    Error, Facts, MadeMask, MaskRequest, Model, Note, Outcome, Region, Stage, Warning, Watcher,
};

/// The last mask that was made, and what it was made of: masks that look for faces or the subject take a
/// moment, and a request is planned before it is run.
pub(crate) type LastMask = Option<(String, Arc<MadeMask>)>;

/// An inpainting with nothing left to decide.
struct Planned {
    pipeline: imagegen_pipeline::Settings,
    strength: Strength,
    content: MaskedContent,
    edge: EdgePlan,
    made: Arc<MadeMask>,
    /// The mask on the canvas, expansion included.
    mask: Mask,
    /// The part the model sees and how; `None` where nothing may change.
    seen: Option<(Rect, FitPlan)>,
    recipe: Recipe,
    runs: usize,
    texts: ReadTexts,
}

/// Calls of the network that a request will make.
pub(crate) fn inpaint_calls(model: &Model, request: &Inpaint<'_>) -> Result<Calls, Error> {
    let planned = model.planned_inpaint(request)?;
    Calls::of(planned.runs, &planned.pipeline, &planned.texts)
}

impl Model {
    /// Makes a part of a picture anew.
    ///
    /// The result has the source's size, or that of the expanded one; wherever the mask is 0 it is the
    /// source's, bit for bit, which is checked and counted. An empty mask and strength 0 return the source.
    /// Fails with [`Error`] before anything runs where the request cannot be carried out; a [`Watcher`] can
    /// stop the run between steps.
    pub fn inpaint(
        &self,
        request: &Inpaint<'_>,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, Error> {
        watcher.stage(Stage::Prepare);
        let planned = self.planned_inpaint(request)?;
        let mut warnings = self.inpaint_warnings(request, &planned)?;
        warnings.iter().for_each(|warning| watcher.warning(warning));
        let canvas = canvas(request, &planned.mask);
        let (picture, run) = match &planned.seen {
            Some((rect, fit)) if planned.runs > 0 => {
                let alone = alone(&request.settings);
                let aids = self.aids(&alone)?;
                let (painted, run) =
                    self.paint(&planned, (&canvas, *rect, fit), (aids, watcher))?;
                watcher.stage(Stage::Finish);
                let how = Paste {
                    band: planned.edge.band as f32,
                    ring: planned.edge.ring as f32,
                };
                (
                    paste(&canvas, &painted, *rect, &planned.mask, how),
                    Some(run),
                )
            }
            _ => (canvas.clone(), None),
        };
        let kept = kept(&canvas, &picture, &planned.mask);
        if kept.differing > 0 {
            return Err(Error::Changed {
                differing: kept.differing,
                checked: kept.checked,
            });
        }
        let painted = Painted {
            share: planned.mask.share(),
            kept: kept.checked,
            seam: seam(&picture, &planned.mask),
            seen: planned
                .seen
                .map_or_else(|| whole(canvas.size()), |(rect, _)| rect),
        };
        // Where no colours are matched, an edge is wanted.
        let told = run.is_some() && planned.edge.ring > 0;
        if let Some(seam) = painted.seam.filter(|seam| told && seam.is_visible()) {
            let warning = Warning::Seam {
                figure: seam.figure,
            };
            watcher.warning(&warning);
            warnings.push(warning);
        }
        let fidelity = request
            .expand
            .is_nothing()
            .then(|| compare(&canvas, &picture).expect("both have the canvas's size"));
        let work = planned.recipe.work_size;
        let mut facts = match &run {
            Some(run) => facts(planned.recipe, run, fidelity),
            None => Facts {
                runs: 0,
                start_sigma: 0.0,
                start_timestep: None,
                work,
                fidelity,
                prompts: Vec::new(),
                inpaint: None,
                recipe: planned.recipe,
            },
        };
        if run.is_some() {
            facts.prompts = self.text_facts(&planned.texts)?;
        }
        facts.inpaint = Some(painted);
        Ok(Outcome {
            advice: Vec::new(),
            picture,
            facts,
            warnings,
            notes: Note::of(&request.source.decoded.facts),
            carried: Carried::of(&request.source.decoded.facts),
        })
    }

    /// Runs the model on the part it sees. Gives that part, repainted, at its own size.
    fn paint(
        &self,
        planned: &Planned,
        (canvas, rect, fit): (&Picture, Rect, &FitPlan),
        (aids, watcher): (Aids<'_>, &mut dyn Watcher),
    ) -> Result<(Picture, imagegen_pipeline::Facts), Error> {
        let part = flatten(&canvas.part(rect), WHITE);
        let mask = planned.mask.part(rect);
        let wide = planned
            .edge
            .wide_mask(&planned.mask)
            .part(rect)
            .to_work(fit);
        let work = fit.work_size();
        let coverage = wide.coverage().iter().map(|&c| f32::from(c) / 255.0);
        let shape = [1, work.height as usize, work.width as usize, 1];
        let coverage = Tensor::new(shape, coverage.collect())?;
        // Filled at the source's own size: a smaller picture's pixels mix what is under the mask and what
        // is beside it.
        let filled = match planned.content {
            MaskedContent::Patches => filled_with_patches(canvas, &planned.mask, rect),
            _ => fill(&part, &mask),
        };
        let filled = unit_tensor(&fit.to_work(&filled))?;
        let source = unit_tensor(&fit.to_work(&part))?;
        let run = self.carry_out(
            (&planned.texts, aids),
            (planned.pipeline, planned.runs),
            watcher,
            |settings, networks, progress| {
                let request = imagegen_pipeline::Inpaint {
                    source: &source,
                    filled: &filled,
                    mask: &coverage,
                    content: planned.content,
                    strength: planned.strength,
                    settings,
                };
                inpaint(&request, networks, progress)
            },
        )?;
        Ok((fit.from_work(&to_picture(&run.pixels, work)?), run.facts))
    }

    /// The recipe of an inpainting, with nothing left to decide. Runs nothing.
    pub(crate) fn plan_inpaint(&self, request: &Inpaint<'_>) -> Result<Recipe, Error> {
        Ok(self.planned_inpaint(request)?.recipe)
    }

    fn planned_inpaint(&self, request: &Inpaint<'_>) -> Result<Planned, Error> {
        self.runs_alone(&request.settings)?;
        without_hires(&request.settings)?;
        let pipeline = self.resolve(&request.settings)?;
        let meaning = request.intent.means();
        let strength = match request.strength {
            Some(strength) => strength,
            None => Strength::new(meaning.strength)?,
        };
        let size = request
            .expand
            .size(request.source.picture().size(), Limits::default().pixels)?;
        let (made, named) = self.mask_of(request)?;
        let content = request.content.unwrap_or(match named.names_nothing() {
            // All that changes is what is added.
            true => MaskedContent::Patches,
            false => meaning.content,
        });
        let area = request.area.unwrap_or(meaning.area);
        let mask = on_canvas(request, &made.mask, size);
        let native = Native {
            grid: self.grid(),
            pixels: self.native_pixels(),
            min_side: MIN_SIDE,
        };
        let bounds = mask.bounds().unwrap_or_else(|| whole(size));
        let edge = EdgePlan::of(request.edge, &meaning, (area, native), (bounds, size))?;
        let seen = match mask.is_empty() {
            true => None,
            false => Some(seen(area, (bounds, size), edge, native)?),
        };
        let plan = Plan::img2img(
            &self.training(pipeline.sampler)?,
            pipeline.plan_request(strength),
        )?;
        let mut recipe = self.recipe(&request.settings, &pipeline, strength);
        recipe.size = sides(size);
        recipe.work_size = seen.map_or(recipe.size, |(_, fit)| sides(fit.work_size()));
        if let Some((_, fit)) = seen.filter(|_| plan.runs > 0) {
            recipe.vae_tiles = self.vae_tiles(&request.settings, fit.work_size());
        }
        recipe.source = Some(SourceMark::of(request.source));
        recipe.inpaint = Some(InpaintMark {
            intent: request.intent.name().to_owned(),
            content: content.name().to_owned(),
            area: area.name().to_owned(),
            padding: edge.padding,
            wide: edge.wide,
            band: edge.band,
            ring: edge.ring,
            expand: (!request.expand.is_nothing()).then(|| request.expand.to_string()),
            mask: MaskMark::of(&named, &mask),
        });
        let runs = if mask.is_empty() { 0 } else { plan.runs };
        if runs > 0 {
            recipe.encoded = self.encoded(&request.settings);
        }
        let texts = self.read_texts(&alone(&request.settings), &pipeline, runs)?;
        recipe.embeddings = self.embeddings_in(&texts, None);
        Ok(Planned {
            texts,
            pipeline,
            strength,
            content,
            edge,
            made,
            runs,
            mask,
            seen,
            recipe,
        })
    }

    /// The mask on the source, and the request that says what it is made of.
    fn mask_of<'a>(
        &self,
        request: &Inpaint<'a>,
    ) -> Result<(Arc<MadeMask>, MaskRequest<'a>), Error> {
        let mut named = request.mask.clone();
        if named.names_nothing() && request.intent == Intent::ReplaceBackground {
            named.only.push(Region::Background);
        }
        if named.names_nothing() && !request.expand.is_nothing() {
            let mask = Mask::empty(request.source.picture().size());
            let warnings = Vec::new();
            return Ok((Arc::new(MadeMask { mask, warnings }), named));
        }
        let none = Mask::empty(Size::new(1, 1));
        let mark = MaskMark::of(&named, &none);
        let key = format!("{} {mark:?}", request.source.sha256);
        let mut last = self.masked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, made)) = last.as_ref()
            && *known == key
        {
            return Ok((Arc::clone(made), named));
        }
        let made = Arc::new(named.make(request.source, self.cpu())?);
        *last = Some((key, Arc::clone(&made)));
        Ok((made, named))
    }

    fn inpaint_warnings(
        &self,
        request: &Inpaint<'_>,
        planned: &Planned,
    ) -> Result<Vec<Warning>, Error> {
        let read = [Some(request.source), request.mask.picture];
        let read = read.into_iter().flatten();
        let mut warnings: Vec<_> = read
            .flat_map(|source| source.decoded.warnings.iter().cloned())
            .map(Warning::Source)
            .collect();
        warnings.extend(planned.made.warnings.iter().cloned());
        let settings = alone(&request.settings);
        warnings.extend(self.warnings(&settings, &planned.pipeline, &planned.texts)?);
        if !request.intent.needs_prompt() {
            warnings.retain(|warning| *warning != Warning::NoPrompt);
        }
        match &planned.seen {
            // A part that is worked on larger loses nothing.
            Some((_, fit)) if planned.runs > 0 => {
                let reduced = fit.content_rect().size.pixels() < fit.result_size().pixels();
                warnings.extend(resampled(fit).filter(|_| reduced));
            }
            _ if planned.strength.get() == 0.0 => warnings.push(Warning::NothingRun),
            _ => {}
        }
        Ok(warnings)
    }
}

/// The part of the canvas in `rect`, filled with patches, which may come from beside it.
fn filled_with_patches(canvas: &Picture, mask: &Mask, rect: Rect) -> Picture {
    let wide = patched_from(mask).map_or(rect, |from| from.joined(rect));
    let near = flatten(&canvas.part(wide), WHITE);
    let inside = Rect {
        x: rect.x - wide.x,
        y: rect.y - wide.y,
        size: rect.size,
    };
    fill_with_patches(&near, &mask.part(wide)).part(inside)
}

fn whole(size: Size) -> Rect {
    Rect { x: 0, y: 0, size }
}

/// The mask with all that is added around the picture.
fn on_canvas(request: &Inpaint<'_>, mask: &Mask, size: Size) -> Mask {
    match request.expand.is_nothing() {
        true => mask.clone(),
        false => mask.placed(size, [request.expand.left, request.expand.top], 255),
    }
}

/// The source, with what is added around it filled from its edges.
fn canvas(request: &Inpaint<'_>, mask: &Mask) -> Picture {
    let source = request.source.picture();
    if request.expand.is_nothing() {
        return source.clone();
    }
    let place = [request.expand.left, request.expand.top];
    let added = Mask::empty(source.size()).placed(mask.size(), place, 255);
    fill(&source.placed(mask.size(), place), &added)
}
