//! Every kind of order gives what the library gives.

use std::sync::Arc;

use imagegen::{
    Enlarge, Enlarger, Fit, Format, Generate, Model, Outcome, Picture, Recipe, Request, Settings,
    Sheet, Source, Strength, StrengthRule, Transform, Unwatched, Variety, Wanted,
};
use imagegen_jobs::{Job, Jobs, Kind, Order, PictureKind, SourceEntry, State};
use pollster::block_on;

use crate::place::{ANNA, Place, order, over, pixels, source};

fn settings(order: &Order, seed: u64) -> Settings {
    Settings {
        prompt: order.prompt.clone(),
        negative_prompt: order.negative_prompt.clone(),
        prompt_mode: imagegen::PromptMode::default(),
        steps: order.steps,
        guidance_scale: order.guidance_scale,
        seed,
        sampler: None,
        sampling: imagegen::Sampling::default(),
        loras: Vec::new(),
        loras_settled: false,
        embeddings: Vec::new(),
        refiner: None,
        rule: StrengthRule::Share,
    }
}

fn request<'a>(source: &'a Source, order: &Order, strength: f64, seed: u64) -> Transform<'a> {
    Transform {
        source,
        enlarge: None,
        strength: Strength::new(strength).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        settings: settings(order, seed),
    }
}

fn run(model: &Model, request: Transform<'_>) -> Outcome {
    model
        .run(&Request::Transform(request), &mut Unwatched)
        .unwrap()
}

fn decoded(jobs: &Jobs, source: &SourceEntry) -> Arc<Source> {
    block_on(jobs.decoded(&source.sha256)).unwrap()
}

fn done(jobs: &Jobs, order: &Order) -> Job {
    let taken = jobs.submit(ANNA, order.clone(), None).unwrap();
    let job = over(jobs, &taken.job.id);
    assert_eq!((job.state, &job.failure), (State::Done, &None));
    assert_eq!(job.sheet, order.kind.has_sheet());
    job
}

fn result(jobs: &Jobs, job: &Job, index: usize) -> (Picture, Recipe) {
    let picture = pixels(jobs, &job.id, PictureKind::Result(index));
    let file = block_on(jobs.picture(&job.id, PictureKind::Result(index)))
        .unwrap()
        .unwrap();
    let recipe = Recipe::read("result.png", &file).unwrap();
    let known = &job.results[index];
    assert_eq!(
        (known.index, &known.recipe),
        (index, &recipe),
        "the picture carries its making"
    );
    assert_eq!([known.width, known.height], recipe.size);
    (picture, recipe)
}

fn sheet(jobs: &Jobs, job: &Job) -> Vec<u8> {
    let sheet = block_on(jobs.picture(&job.id, PictureKind::Sheet)).unwrap();
    sheet.unwrap().to_vec()
}

#[test]
fn transforms_count_seeds_up() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 9);
    let mut order = order("winter", 2, crate::place::transform(&source, 2));
    order.seed = Some(u64::MAX);
    let job = done(&jobs, &order);
    let (model, decoded) = (jobs.model(None).unwrap(), decoded(&jobs, &source));
    for (index, seed) in [(0, u64::MAX), (1, 0)] {
        let (picture, recipe) = result(&jobs, &job, index);
        assert_eq!((recipe.seed, job.results[index].seed), (seed, seed));
        assert_eq!(
            picture,
            run(&model, request(&decoded, &order, 1.0, seed)).picture
        );
        assert!(job.results[index].fidelity.is_some());
    }
    assert_eq!(
        block_on(jobs.picture(&job.id, PictureKind::Result(2))).unwrap(),
        None
    );
    assert_eq!(
        block_on(jobs.picture(&job.id, PictureKind::Sheet)).unwrap(),
        None
    );
}

#[test]
fn sizes_and_fits_are_heard() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 9);
    let order = order(
        "winter",
        1,
        Kind::Transform {
            source: source.sha256.clone(),
            strength: Some(0.5),
            size: Some("96x64".to_owned()),
            fit: Some("crop".to_owned()),
            count: 1,
        },
    );
    let job = done(&jobs, &order);
    assert_eq!((job.results[0].width, job.results[0].height), (96, 64));
    let recipe = &job.results[0].recipe;
    assert_eq!(
        (recipe.wanted.as_deref(), recipe.fit.as_deref()),
        (Some("96x64"), Some("crop"))
    );
}

#[test]
fn pictures_from_text_alone_need_no_source() {
    let place = Place::new();
    let jobs = place.open();
    let kind = Kind::Generate {
        width: 80,
        height: 64,
        count: 2,
    };
    let order = order("winter", 2, kind);
    let job = done(&jobs, &order);
    assert_eq!((job.source_name.as_deref(), job.results.len()), (None, 2));
    let model = jobs.model(Some("starter")).unwrap();
    for (index, seed) in [(0, 7), (1, 8)] {
        let request = Generate {
            width: 80,
            height: 64,
            settings: settings(&order, seed),
        };
        let expected = model
            .run(&Request::Generate(request), &mut Unwatched)
            .unwrap();
        assert_eq!(result(&jobs, &job, index).0, expected.picture);
        assert_eq!(job.results[index].fidelity, None);
    }
}

#[test]
fn a_ladder_is_the_librarys_ladder() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 9);
    let strengths = vec![0.35, 0.123_456_789_012_345_68, 1.0];
    let order = order(
        "winter",
        4,
        Kind::Ladder {
            source: source.sha256.clone(),
            strengths: strengths.clone(),
            size: None,
            fit: None,
        },
    );
    let job = done(&jobs, &order);
    assert_eq!(job.results.len(), 3);
    let (model, decoded) = (jobs.model(None).unwrap(), decoded(&jobs, &source));
    let first = request(&decoded, &order, strengths[0], 7);
    let mut expected = Sheet::of(&model.framed_source(&first).unwrap());
    for (index, &strength) in strengths.iter().enumerate() {
        let outcome = run(&model, request(&decoded, &order, strength, 7));
        let (picture, recipe) = result(&jobs, &job, index);
        assert_eq!((recipe.strength, recipe.seed), (strength, 7));
        assert_eq!(picture, outcome.picture, "strength {strength}");
        expected.add_rung(&outcome.picture, &outcome.facts.recipe);
    }
    assert!(sheet(&jobs, &job) == expected.encode(Format::Png).unwrap().bytes);
}

fn variations(source: &SourceEntry, strength: f64, count: u8) -> Kind {
    Kind::Vary {
        source: source.sha256.clone(),
        strength: Some(strength),
        count,
        size: None,
        fit: None,
    }
}

#[test]
fn variations_are_the_librarys_variations() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 9);
    let order = order("winter", 2, variations(&source, 1.0, 3));
    let job = done(&jobs, &order);
    let (model, decoded) = (jobs.model(None).unwrap(), decoded(&jobs, &source));
    let first = request(&decoded, &order, 1.0, 7);
    let mut expected = Sheet::of(&model.framed_source(&first).unwrap());
    let mut variety = Variety::new(3);
    for seed in variety.seeds(7) {
        let outcome = run(&model, request(&decoded, &order, 1.0, seed));
        if variety
            .admit(seed, &outcome.picture)
            .is_some_and(|twin| !twin.kept)
        {
            continue;
        }
        let (picture, recipe) = result(&jobs, &job, variety.kept() - 1);
        assert_eq!(recipe.seed, seed);
        assert_eq!(picture, outcome.picture, "seed {seed}");
        expected.add_variation(&outcome.picture, &outcome.facts.recipe);
        if variety.is_full() {
            break;
        }
    }
    assert!(variety.is_full() && job.results.len() == 3);
    assert!(sheet(&jobs, &job) == expected.encode(Format::Png).unwrap().bytes);
}

#[test]
fn near_duplicates_are_drawn_again_and_said() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 9);
    // At strength 0 every seed gives the source.
    let job = done(&jobs, &order("winter", 2, variations(&source, 0.0, 2)));
    let seeds: Vec<_> = job.results.iter().map(|result| result.seed).collect();
    assert_eq!(seeds, [7, 10]);
    assert_eq!(job.warnings.len(), 3, "{:?}", job.warnings);
    assert!(job.warnings[0].starts_with("seed 8 came out nearly like seed 7"));
    assert!(job.warnings[0].ends_with("another seed is drawn"));
    assert!(job.warnings[2].ends_with("it is kept; a higher strength gives more variety"));
    assert_eq!(
        pixels(&jobs, &job.id, PictureKind::Result(1)),
        *decoded(&jobs, &source).picture()
    );
}

#[test]
fn sources_are_enlarged_and_their_detail_drawn_where_there_is_a_prompt() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 9);
    let model = jobs.model(None).unwrap();
    for (prompt, strength) in [("", 0.0), ("winter", 0.2)] {
        let kind = Kind::Upscale {
            source: source.sha256.clone(),
            by: 2,
            with: None,
            strength: None,
        };
        let order = order(prompt, 5, kind);
        let job = done(&jobs, &order);
        let decoded = decoded(&jobs, &source);
        let size = decoded.picture().size();
        let (picture, recipe) = result(&jobs, &job, 0);
        assert_eq!(recipe.size, [size.width * 2, size.height * 2]);
        assert_eq!(recipe.strength, strength);
        let again = Transform {
            enlarge: Some(Enlarge::new(2, Enlarger::Network).unwrap()),
            ..request(&decoded, &order, strength, recipe.seed)
        };
        assert_eq!(picture, run(&model, again).picture);
    }
}
